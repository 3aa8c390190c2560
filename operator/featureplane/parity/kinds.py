"""How what is served of an entity may stand to what its source says. Pure, and light: the operator reads outcomes."""

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What came of comparing one entity.

    The source's row is the newest that a run should have copied: within the ttl, and no later than the last completed
    run reached. Of the two times `late` and `pending` only a source with a created timestamp can tell.
    """

    EQUAL = "equal"
    # The same event time, and another value.
    DIFFERENT = "different"
    # Nothing is online.
    MISSING = "missing"
    # An older row is online, though a run has read the newer one.
    STALE = "stale"
    # No run's window has reached the source's row, and none will.
    LATE = "late"
    # A row is online that the source does not have, in a view that nobody pushes to.
    EXTRA = "extra"
    # A newer row is online than the source has: it was pushed, or a run goes on.
    AHEAD = "ahead"
    # The source's row came after the last run, and the next one will copy it.
    PENDING = "pending"


# What is wrong, the worst first.
WRONG: Final = (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, Kind.STALE, Kind.LATE)
# What is right, or will be by itself: it counts in no rate.
EXCUSED: Final = (Kind.AHEAD, Kind.PENDING)
