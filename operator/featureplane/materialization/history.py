"""The run history: one row a view and run, inserted when it ended, never changed but for `folded`."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Row, Subquery, and_, case, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from featureplane.registry.ledger import ADD, EXTEND
from featureplane.registry.tables import changes, runs, shard_assignments

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


@dataclass(frozen=True)
class Run:
    """How one run of one view ended. Times are aware; `max_event_time` is that of the newest row written.

    Of the rows read in the window, those that are not the latest of their entity count nowhere else; skipped ones are
    older than what is stored; late ones lie before the window and came after the run before. None is not known.
    """

    view: str
    job: str
    window_start: datetime
    window_end: datetime
    started_at: datetime
    finished_at: datetime
    result: Literal["Succeeded", "Failed"]
    rows_written: int | None = None
    max_event_time: datetime | None = None
    message: str = ""
    rows_read: int | None = None
    rows_skipped: int | None = None
    rows_rejected: int | None = None
    rows_late: int | None = None
    bytes_written: int | None = None

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


def insert_run(connection: Connection, project: str, run: Run, seen_change: int | None = None) -> None:
    """Add one run to the history; nothing happens where it is there, as after an answer that was lost.

    `seen_change` is the newest change of the registry when the run's window was chosen: what changed later, a feature
    that was added say, it does not cover. Where it is not known, the times of both decide.
    """
    connection.execute(
        insert(runs)
        .values(
            project=project,
            view=run.view,
            job=run.job,
            window_start=run.window_start,
            window_end=run.window_end,
            started_at=run.started_at,
            finished_at=run.finished_at,
            rows_read=run.rows_read,
            rows_written=run.rows_written,
            rows_skipped=run.rows_skipped,
            rows_rejected=run.rows_rejected,
            rows_late=run.rows_late,
            bytes_written=run.bytes_written,
            max_event_time=run.max_event_time,
            result=run.result,
            seen_change=seen_change,
            message=run.message.replace("\0", " ").encode(errors="replace").decode(),
        )
        .on_conflict_do_nothing(index_elements=["project", "view", "job", "started_at"])
    )


# A window that somebody chose by hand may leave a gap before it, so its end says nothing of what lies before.
MANUAL: Final = "manual"


def last_asked(project: str) -> Subquery:
    """For each view that was ever registered the change after which all its rows are to be copied: `name`, `seq`, `at`.

    That is the last by which it was added or extended: one that was removed and came back starts anew, and one that
    gained features, or a longer ttl, needs all its rows once more.
    """
    return (
        select(changes.c.name, func.max(changes.c.seq).label("seq"), func.max(changes.c.at).label("at"))
        .where(changes.c.project == project, changes.c.kind == "feature_view", changes.c.action.in_([ADD, EXTEND]))
        .group_by(changes.c.name)
        .subquery()
    )


def covers(asked: Subquery) -> ColumnElement[bool]:
    """Whether a run is one of its project's that copied its window, knowing what was asked for of its view."""
    return and_(_copied(asked), runs.c.job != MANUAL)


def _copied(asked: Subquery) -> ColumnElement[bool]:
    """As `covers`, of a window that somebody chose by hand, too."""
    knew = case(
        (runs.c.seen_change.is_(None), runs.c.started_at >= asked.c.at), else_=runs.c.seen_change >= asked.c.seq
    )
    return and_(runs.c.result == SUCCEEDED, or_(asked.c.seq.is_(None), knew))


def last_successes(connection: Connection, project: str) -> dict[str, datetime]:
    """Each view's watermark: the latest end of a window that was copied without an error and with all features."""
    asked = last_asked(project)
    statement = (
        select(runs.c.view, func.max(runs.c.window_end).label("watermark"))
        .join(asked, asked.c.name == runs.c.view, isouter=True)
        .where(runs.c.project == project, covers(asked))
        .group_by(runs.c.view)
    )
    return {row.view: row.watermark for row in connection.execute(statement)}


@dataclass(frozen=True)
class CopiedWindow:
    """A window whose rows are online, those that the source had when the run started; `by_hand` moves no watermark."""

    start: datetime
    end: datetime
    started_at: datetime
    by_hand: bool = False


# Of a view so many windows are looked at, newest first.
_MOST_WINDOWS = 5_000


def copied_windows(connection: Connection, project: str, view: str) -> list[CopiedWindow]:
    """The windows of a view that were copied with all features, the newest run first; old runs are forgotten."""
    asked = last_asked(project)
    statement = (
        select(runs.c.window_start, runs.c.window_end, runs.c.started_at, runs.c.job == MANUAL)
        .join(asked, asked.c.name == runs.c.view, isouter=True)
        .where(runs.c.project == project, runs.c.view == view, _copied(asked))
        .order_by(runs.c.finished_at.desc())
        .limit(_MOST_WINDOWS)
    )
    return [CopiedWindow(*row) for row in connection.execute(statement)]


def run_of(row: Row[Any]) -> Run:
    """The run of a row of the table."""
    return Run(**{field.name: getattr(row, field.name) for field in fields(Run)})


def succeeded_in(connection: Connection, project: str, job: str) -> set[str]:
    """The views that a Job has copied already: its next pod need not do them again."""
    statement = select(runs.c.view).where(runs.c.project == project, runs.c.job == job, runs.c.result == SUCCEEDED)
    return set(connection.execute(statement).scalars())


# How long a run is remembered; a view's newest success is the watermark, and stays.
KEPT: Final = timedelta(days=90)


def prune(connection: Connection, project: str) -> None:
    """Forget runs that ended long ago, but for what Feast was not told of and each view's newest success."""
    newest = (
        select(func.max(runs.c.id))
        .where(runs.c.project == project, runs.c.result == SUCCEEDED, runs.c.job != MANUAL)
        .group_by(runs.c.view)
    )
    old = runs.c.finished_at < func.now() - KEPT
    told = or_(runs.c.folded, runs.c.result != SUCCEEDED)
    connection.execute(delete(runs).where(runs.c.project == project, old, told, runs.c.id.not_in(newest)))
    assigned = shard_assignments.c
    connection.execute(delete(shard_assignments).where(assigned.project == project, assigned.at < func.now() - KEPT))
