"""What is online of an entity against what its source says. Pure; times are microseconds since 1970.

A row should be online where a run has copied a window that it lies in, and started after it came. When it came only a
created timestamp says; without one a row that came later than its run looks like one that was lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from featureplane.materialization.history import CopiedWindow
from featureplane.model.types import FeatureType
from featureplane.parity.kinds import Kind
from featureplane.parity.values import is_same

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class SourceRow:
    """A row of an entity in its source; `values` are as a run would write them, if it `is_copied`: no check or type
    refuses it.
    """

    time: int
    values: Sequence[bytes]
    created: int | None = None
    is_copied: bool = True


@dataclass(frozen=True)
class OnlineRow:
    """What is served of an entity: `time` is None for nothing, `is_expired` says that it is older than the ttl.
    `is_unreadable` where it is no row at all.
    """

    time: int | None = None
    values: Sequence[bytes | None] = ()
    is_expired: bool = False
    is_unreadable: bool = False


@dataclass(frozen=True)
class Copied:
    """What runs have copied of a view. `next_start` is where the next one will begin, None where none will come.

    `has_first_run`: rows from before all windows that are remembered were copied by a run that is forgotten.
    """

    windows: Sequence[CopiedWindow]
    next_start: int | None = None
    has_first_run: bool = True

    @property
    def until(self) -> datetime:
        """The latest end of a window."""
        return max(window.end for window in self.windows)

    def has(self, row: SourceRow) -> bool:
        """Whether a run should have copied the row."""
        if any(
            micros(each.start) <= row.time <= micros(each.end)
            and (row.created is None or row.created <= micros(each.started_at))
            for each in self.windows
        ):
            return True
        first = min(self.windows, key=lambda each: each.started_at)
        came = row.time if row.created is None else row.created
        return self.has_first_run and row.time < micros(first.start) and came <= micros(first.started_at)


@dataclass(frozen=True)
class Judged:
    """What came of one entity, and which of its values are the same."""

    kind: Kind
    same: Sequence[bool]


@dataclass(frozen=True)
class Judge:
    """Judges the entities of one view, of which the features have these `kinds`. Rows are `written` by others, too."""

    kinds: Sequence[FeatureType]
    copied: Copied
    is_written: bool = False

    def judge(self, online: OnlineRow, offline: SourceRow | None) -> Judged | None:
        """None where neither says anything."""
        if online.is_unreadable:
            return Judged(Kind.DIFFERENT, [False] * len(self.kinds))
        there = online.time is not None and not online.is_expired
        if offline is None:
            return Judged(self._newer(online), [False] * len(self.kinds)) if there else None
        if not there:
            return Judged(self._older(Kind.MISSING, offline), self._same(None, offline))
        assert online.time is not None
        same = self._same(online, offline)
        if online.time > offline.time:
            return Judged(self._newer(online), same)
        if online.time < offline.time:
            return Judged(self._older(Kind.STALE, offline), same)
        return Judged(Kind.EQUAL if all(same) else Kind.DIFFERENT, same)

    def _newer(self, online: OnlineRow) -> Kind:
        assert online.time is not None
        return Kind.AHEAD if self.is_written or online.time > micros(self.copied.until) else Kind.EXTRA

    def _older(self, kind: Kind, offline: SourceRow) -> Kind:
        if self.copied.has(offline):
            return kind
        ahead = self.copied.next_start
        return Kind.PENDING if ahead is None or offline.time >= ahead else Kind.LATE

    def _same(self, online: OnlineRow | None, offline: SourceRow) -> list[bool]:
        if online is None:
            return [False] * len(self.kinds)
        return [is_same(*each) for each in zip(online.values, offline.values, self.kinds, strict=True)]


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: int | None) -> datetime | None:
    """The time of so many microseconds since 1970."""
    return None if at is None else _EPOCH + at * _MICROSECOND
