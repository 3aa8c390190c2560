"""Which runs of the history are new, so that each is counted once however often it is read. Pure.

What ended before this process first looked is not new: a counter begins at 0 with its process.
"""

from collections.abc import Mapping

from featureplane.materialization.history import Run


class Tally:
    """One project's. `newest` is the greatest id of a run that was read, None before the first reading."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self._known: frozenset[int] = frozenset()

    def take(self, found: Mapping[int, Run]) -> list[Run]:
        """The new ones of these runs, by id, which are all that `outlook.ended_since` finds for `newest`."""
        is_first = self.newest is None
        fresh = [] if is_first else [run for number, run in found.items() if number not in self._known]
        self.newest = max(self.newest or 0, *found, 0)
        self._known = frozenset(found)
        return fresh
