"""The log of Feast's processes without passwords: a traceback ends with what a store said, which may be what it was
sent ("unknown command 'AUTH', with args beginning with:").
"""

import io
import sys
from collections.abc import Sequence
from typing import BinaryIO, cast

from featureplane.serving.http.feast_answers import Secrets
from featureplane.settings import Settings


def keep_passwords_out() -> None:
    """Have what this process writes to standard output and standard error say none of its stores' passwords.

    Whatever is written: tracebacks come from loggers of others, and from Python itself.
    """
    settings = Settings.from_env()
    secrets = (Secrets(settings.postgres, settings.redis, settings.cassandra), Secrets(settings.offline))
    sys.stdout, sys.stderr = (_Discreet(cast(BinaryIO, each.buffer), secrets) for each in (sys.stdout, sys.stderr))


class _Discreet(io.TextIOWrapper):
    """Logging writes a record in one piece, and Python a line of a traceback: no password is in two."""

    def __init__(self, binary: BinaryIO, secrets: Sequence[Secrets]) -> None:
        super().__init__(binary, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self._secrets = secrets

    def write(self, text: str) -> int:
        for secrets in self._secrets:
            text = secrets.without_passwords(text)
        return super().write(text)
