"""The server's log of who goes on asking for what is deprecated: a line an hour for each, however many ask."""

import logging
from collections.abc import Sequence
from time import monotonic

from featureplane.serving.reading.deprecated import Deprecated

BETWEEN_SECONDS = 3600.0
# Views and features that are remembered; what is forgotten is told of once more.
_MOST = 1_000
logger = logging.getLogger("featureplane.deprecated")


class Telling:
    """What was told, and when."""

    def __init__(self) -> None:
        self._told: dict[Deprecated, float] = {}
        self._since: dict[Deprecated, int] = {}

    def asked(self, found: Sequence[Deprecated], requests: int) -> None:
        """So many requests asked for these."""
        now = monotonic()
        for each in found:
            count = self._since.get(each, 0) + requests
            if now - self._told.get(each, -BETWEEN_SECONDS) < BETWEEN_SECONDS:
                self._since[each] = count
                continue
            if len(self._told) >= _MOST:
                self._told.clear()
                self._since.clear()
            self._told[each], self._since[each] = now, 0
            logger.warning(
                "%d requests since the last such line, or the start, asked for what is deprecated: %s", count, each
            )
