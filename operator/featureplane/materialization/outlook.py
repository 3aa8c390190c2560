"""What happened and what is due, for whoever starts the runs: new runs, views without their first, pending purges."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from featureplane.materialization.history import SUCCEEDED, Run, covers, last_asked, run_of
from featureplane.registry.tables import changes, purges, runs

# As many of a view's runs as its status shows.
MOST_RUNS = 5


# A row is numbered when it is inserted and seen when its transaction ends: a later number may be seen first.
_LATE = 100


def runs_since(
    connection: Connection, project: str, last: int, also: Collection[str] = ()
) -> tuple[int, dict[str, list[Run]]]:
    """Runs with an id above `last`, or a little below, by view, the newest first and at most `MOST_RUNS` of each; and
    the newest id. Of the views in `also` every run counts as new.
    """
    rank = func.row_number().over(partition_by=runs.c.view, order_by=runs.c.id.desc()).label("rank")
    ranked: Any = select(runs, rank).where(
        runs.c.project == project, or_(runs.c.id > last - _LATE, runs.c.view.in_(also))
    )
    ranked = ranked.subquery()
    statement = select(ranked).where(ranked.c.rank <= MOST_RUNS).order_by(ranked.c.id.desc())
    found: dict[str, list[Run]] = {}
    newest = last
    for row in connection.execute(statement):
        newest = max(newest, int(row.id))
        found.setdefault(row.view, []).append(run_of(row))
    return newest, found


def ended_since(connection: Connection, project: str, last: int | None) -> dict[int, Run]:
    """Every run with an id above `last`, or a little below, by its id; without a `last` those around the newest id."""
    if last is None:
        last = int(connection.execute(select(func.max(runs.c.id)).where(runs.c.project == project)).scalar() or 0)
    statement = select(runs).where(runs.c.project == project, runs.c.id > last - _LATE).order_by(runs.c.id)
    return {int(row.id): run_of(row) for row in connection.execute(statement)}


@dataclass(frozen=True)
class Waiting:
    """A view that has no successful run since it was registered, or gained features, at change `seq`."""

    seq: int
    since: datetime


def waiting(connection: Connection, project: str) -> dict[str, Waiting]:
    """The registered views without a successful run since they were last added or extended."""
    asked = last_asked(project)
    succeeded = and_(runs.c.project == project, runs.c.view == asked.c.name, covers(asked))
    removed = (
        select(changes.c.name, func.max(changes.c.seq).label("seq"))
        .where(changes.c.project == project, changes.c.kind == "feature_view", changes.c.action == "remove")
        .group_by(changes.c.name)
        .subquery()
    )
    statement = (
        select(asked.c.name, asked.c.seq, asked.c.at)
        .join(removed, removed.c.name == asked.c.name, isouter=True)
        .where(
            ~select(runs.c.id).where(succeeded).exists(),
            or_(removed.c.seq.is_(None), removed.c.seq < asked.c.seq),
        )
    )
    return {row.name: Waiting(int(row.seq), row.at) for row in connection.execute(statement)}


def has_unfolded(connection: Connection, project: str) -> bool:
    """Whether there are successful runs that Feast was not told of."""
    untold = select(runs.c.id).where(runs.c.project == project, runs.c.result == SUCCEEDED, runs.c.folded.is_(False))
    return connection.execute(untold.limit(1)).first() is not None


@dataclass(frozen=True)
class Purges:
    """Online rows to be removed: the newest request that is due by now, and when the next one will be."""

    due: int = 0
    next_at: datetime | None = None


def pending_purges(connection: Connection, project: str) -> Purges:
    """What of the requested purges is neither done nor cancelled."""
    open_ = and_(purges.c.project == project, purges.c.done_at.is_(None), purges.c.cancelled_at.is_(None))
    due = select(func.max(purges.c.id)).where(open_, purges.c.due_at <= func.now())
    ahead = select(func.min(purges.c.due_at)).where(open_, purges.c.due_at > func.now())
    return Purges(int(connection.execute(due).scalar() or 0), connection.execute(ahead).scalar())
