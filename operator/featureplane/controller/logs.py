"""Logs as lines for people or JSON for machines, each with the project and the reconcile it belongs to."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

from pythonjsonlogger.json import JsonFormatter

from featureplane.settings import OperatorSettings

# Project and reconcile.
_context: ContextVar[tuple[str, str]] = ContextVar("log_context", default=("", ""))


class _WithContext(logging.Filter):
    """Puts the project and the reconcile's id on every record made below a reconcile."""

    def filter(self, record: logging.LogRecord) -> bool:
        project, reconcile = _context.get()
        where = f" [{project} {reconcile}]" if project else ""
        record.__dict__.update(project=project, reconcile=reconcile, where=where)
        return True


def set_up(settings: OperatorSettings) -> None:
    """Send every log to standard error, in the format that was asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_WithContext())
    if settings.log_format == "json":
        fields = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(name)s %(message)s %(project)s %(reconcile)s", rename_fields=fields
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s%(where)s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    # kopf logs every event it passes on, and aiohttp every probe.
    for name in ("kopf", "kopf.objects", "aiohttp.access", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


@contextmanager
def reconcile_of(project: str) -> Iterator[None]:
    """Mark what is logged in this block as part of one reconcile."""
    token = _context.set((project, uuid4().hex[:8]))
    try:
        yield
    finally:
        _context.reset(token)
