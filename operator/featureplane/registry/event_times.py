"""How far the rows of views reach in time, as the run history has it. Reads by index: history has millions of runs."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from featureplane.registry.tables import runs

# Of a view so many runs are looked at, newest first: a fill of old windows may have come after the newest rows.
_RUNS = 50
# Rows are numbered before they can be seen, so that a higher number may be seen before a lower one.
_OVERTAKEN = 1_000


def newest_event_times(connection: Connection, project: str, views: Collection[str]) -> dict[str, datetime]:
    """The newest event time that was copied, of those views of which a run has copied rows."""
    if not views:
        return {}
    name = func.unnest(bindparam("views", list(views), ARRAY(Text))).column_valued("name")
    latest = (
        select(runs.c.max_event_time)
        .where(runs.c.project == project, runs.c.view == name, runs.c.max_event_time.is_not(None))
        .order_by(runs.c.finished_at.desc())
        .limit(_RUNS)
        .lateral("latest")
    )
    statement = select(name, func.max(latest.c.max_event_time)).group_by(name)
    return {row[0]: row[1] for row in connection.execute(statement)}


def event_times_since(connection: Connection, project: str, number: int) -> dict[str, datetime]:
    """Likewise, of runs that were noted after the one of this number (see `last_run`), and of some before it."""
    statement = (
        select(runs.c.view, func.max(runs.c.max_event_time))
        .where(runs.c.id > number - _OVERTAKEN, runs.c.project == project, runs.c.max_event_time.is_not(None))
        .group_by(runs.c.view)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def last_run(connection: Connection) -> int:
    """The number of the newest run of any project, 0 without any."""
    return int(connection.execute(select(func.max(runs.c.id))).scalar() or 0)
