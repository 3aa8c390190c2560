"""How fresh views are: the newest event time of each, from the run history, or what Feast has noted instead.

Where Feast alone copies rows it notes the windows and not the rows: the end of the last window is all there is to say.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine

from featureplane.errors import FeatureplaneError
from featureplane.registry import event_times, feast_rows
from featureplane.registry.database import begin
from featureplane.serving.catalogue.served import ServedView
from featureplane.settings import PostgresAddress

logger = logging.getLogger(__name__)

# What a time is of: a row that a run copied, a row that a server was sent, or the end of a window that Feast copied,
# than which no row is newer.
Basis = Literal["run", "write", "window"]


@dataclass(frozen=True)
class Newest:
    """A view's newest event time, in seconds since 1970."""

    at: float
    of: Basis


class Freshness:
    """Newest event times by view, as of the last `look`. One thread looks; any may ask."""

    def __init__(self, engine: Engine, address: PostgresAddress, project: str) -> None:
        self._engine = engine
        self._address = address
        self._project = project
        self._copied: Mapping[str, float] = {}
        self._asked: frozenset[str] = frozenset()
        self._number = 0
        self._is_silent = False

    def look(self, views: Collection[str]) -> None:
        """Read the runs that ended since the last time, and all of views that are new here. What fails is said once:
        rows are served without it.
        """
        try:
            with begin(self._engine, self._address) as connection:
                if feast_rows.has_schema(connection):
                    self._read(connection, frozenset(views))
        except FeatureplaneError as error:
            if not self._is_silent:
                logger.warning("how fresh views are is not known: %s", error)
            self._is_silent = True
        else:
            self._is_silent = False

    def _read(self, connection: Connection, views: frozenset[str]) -> None:
        number = event_times.last_run(connection)
        found = event_times.newest_event_times(connection, self._project, views - self._asked)
        if self._asked:
            _raise(found, event_times.event_times_since(connection, self._project, self._number))
        if found:
            copied = dict(self._copied)
            for view, time in found.items():
                copied[view] = max(copied.get(view, 0.0), time.timestamp())
            self._copied = copied
        self._asked, self._number = self._asked | views, number

    def of(self, view: ServedView, written: Mapping[str, float]) -> Newest | None:
        """`written` are the newest event times that this server was sent. None where nothing is known."""
        copied, sent = self._copied.get(view.name), written.get(view.name)
        if copied is not None and (sent is None or copied >= sent):
            return Newest(copied, "run")
        if sent is not None:
            return Newest(sent, "write")
        return Newest(view.copied_until, "window") if view.copied_until else None


def _raise(found: dict[str, datetime], more: Mapping[str, datetime]) -> None:
    for view, time in more.items():
        found[view] = max(found.get(view, time), time)
