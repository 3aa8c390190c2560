"""What came of checking views, and its table: a row a view and check. Light, for the operator reads it.

The table holds counts and no value: values may be personal, and what the operator tells many can see.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select

from featureplane.parity.kinds import EXCUSED, WRONG, Kind
from featureplane.registry.tables import parity_checks


@dataclass(frozen=True)
class Difference:
    """A value that is not the same, or with feature `*` a row that one of the two does not have."""

    entity: Mapping[str, Any]
    kind: Kind
    feature: str
    online: Any
    offline: Any
    online_time: datetime | None
    offline_time: datetime | None


@dataclass(frozen=True)
class Outcome:
    """What came of one view. `message` says why nothing was compared, or what was left out; `failed` that the view
    could not be looked at. `copied_until` is how far runs had copied it. `cause` is what a library said, which may hold
    values: for whoever asks for differences, and noted nowhere.
    """

    view: str
    checked_at: datetime
    counts: Mapping[Kind, int] = field(default_factory=dict)
    values_compared: int = 0
    values_equal: int = 0
    copied_until: datetime | None = None
    message: str = ""
    failed: bool = False
    differences: Sequence[Difference] = ()
    cause: str = ""

    @property
    def equal(self) -> int:
        return self.counts.get(Kind.EQUAL, 0)

    @property
    def compared(self) -> int:
        """Entities that count: those that are right or wrong."""
        return self.equal + sum(self.counts.get(kind, 0) for kind in WRONG)

    @property
    def rate(self) -> float | None:
        """The share of entities that are equal, None where none was compared."""
        return self.equal / self.compared if self.compared else None

    @property
    def value_rate(self) -> float | None:
        """The share of their values that are equal."""
        return self.values_equal / self.values_compared if self.values_compared else None

    def is_below(self, minimum: float) -> bool:
        """Whether fewer entities are equal than should be."""
        return self.rate is not None and self.rate < minimum

    def words(self) -> str:
        """What was found, in counts."""
        if self.rate is None:
            return self.message or "nothing was compared"
        kinds = [f"{self.counts[kind]} {kind}" for kind in (*WRONG, *EXCUSED) if self.counts.get(kind)]
        more = f": {', '.join(kinds)}" if kinds else ""
        return f"{self.equal} of {self.compared} entities are equal ({percent(self.rate)}){more}"


def percent(rate: float | None) -> str:
    """Rounded down: 100 % is all of them."""
    return "-" if rate is None else f"{math.floor(rate * 10_000) / 100:g} %"


# How long a check is remembered; the newest of each view stays.
KEPT: Final = timedelta(days=90)
_COUNTED = {kind: parity_checks.c[kind.value] for kind in Kind}
# A row is numbered when it is inserted and seen when its transaction ends: a later number may be seen first.
_LATE = 100


def record(connection: Connection, project: str, outcome: Outcome, job: str = "") -> None:
    """Note what came of a view, and forget what came of it long ago."""
    columns = parity_checks.c
    counts = {column.name: outcome.counts.get(kind, 0) for kind, column in _COUNTED.items()}
    statement = insert(parity_checks).values(
        project=project,
        view=outcome.view,
        job=job,
        checked_at=outcome.checked_at,
        copied_until=outcome.copied_until,
        values_compared=outcome.values_compared,
        values_equal=outcome.values_equal,
        failed=outcome.failed,
        message=outcome.message.replace("\0", " ").encode(errors="replace").decode(),
        **counts,
    )
    number = connection.execute(statement.returning(columns.id)).scalar_one()
    old = columns.checked_at < func.now() - KEPT
    mine = (columns.project == project, columns.view == outcome.view, columns.id != number)
    connection.execute(delete(parity_checks).where(*mine, old))


def checked_in(connection: Connection, project: str, job: str) -> frozenset[str]:
    """The views that a Job has looked at: a pod of it that is tried again need not read their sources once more."""
    columns = parity_checks.c
    mine = (columns.project == project, columns.job == job, columns.failed.is_(False))
    return frozenset(connection.execute(select(columns.view).where(*mine)).scalars())


def newest(connection: Connection, project: str, after: int = 0) -> tuple[int, dict[str, Outcome]]:
    """The newest outcome of each view that has one with an id above `after`, or a little below; and the newest id."""
    columns = parity_checks.c
    last = (
        select(func.max(columns.id))
        .where(columns.project == project, columns.id > after - _LATE)
        .group_by(columns.view)
    )
    rows = connection.execute(select(parity_checks).where(columns.id.in_(last))).all()
    return max((int(row.id) for row in rows), default=after), {row.view: _outcome(row) for row in rows}


def _outcome(row: Row[Any]) -> Outcome:
    counts = {kind: getattr(row, column.name) for kind, column in _COUNTED.items()}
    return Outcome(
        row.view,
        row.checked_at,
        counts,
        row.values_compared,
        row.values_equal,
        row.copied_until,
        row.message,
        row.failed,
    )
