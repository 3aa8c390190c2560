"""Which pod of an Indexed Job copies which views: all are about as long at it, by what each view took the last time."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, insert, select, text

from featureplane.materialization.history import SUCCEEDED
from featureplane.registry.tables import runs, shard_assignments

# A view without a run: as long as the median of the others, or this.
_UNKNOWN_SECONDS = 1.0


def views_of_shard(
    connection: Connection, project: str, job: str, views: Iterable[str], shard: int, of: int
) -> frozenset[str]:
    """The views of one pod. The first pod of a Job decides for all of them; views that came since go by their name."""
    wanted = sorted(views)
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"featureplane shards\x1f{project}\x1f{job}"},
    )
    decided = _decided(connection, project, job)
    missing = [view for view in wanted if view not in decided]
    if missing:
        spread = balanced(missing, _seconds(connection, project), of, decided)
        rows = [{"project": project, "job": job, "view": view, "shard": number} for view, number in spread.items()]
        connection.execute(insert(shard_assignments), rows)
        decided |= spread
    return frozenset(view for view in wanted if decided[view] % of == shard)


def balanced(
    views: Iterable[str], seconds: Mapping[str, float], of: int, taken: Mapping[str, int] | None = None
) -> dict[str, int]:
    """A shard for each view: the longest first, each to whoever has least to do. Pure."""
    known = sorted(seconds.values())
    unknown = known[len(known) // 2] if known else _UNKNOWN_SECONDS
    load = [0.0] * of
    for view, number in (taken or {}).items():
        load[number % of] += seconds.get(view, unknown)
    found = {}
    for view in sorted(views, key=lambda name: (-seconds.get(name, unknown), name)):
        least = load.index(min(load))
        load[least] += seconds.get(view, unknown)
        found[view] = least
    return found


def _decided(connection: Connection, project: str, job: str) -> dict[str, int]:
    assigned = shard_assignments.c
    statement = select(assigned.view, assigned.shard).where(assigned.project == project, assigned.job == job)
    return {row.view: row.shard for row in connection.execute(statement)}


def _seconds(connection: Connection, project: str) -> dict[str, float]:
    """How long each view's last successful run took. Views that were copied together have the time in equal parts."""
    newest = (
        select(func.max(runs.c.id)).where(runs.c.project == project, runs.c.result == SUCCEEDED).group_by(runs.c.view)
    )
    together = func.count().over(partition_by=(runs.c.job, runs.c.started_at, runs.c.finished_at)).label("together")
    statement = select(runs.c.view, runs.c.started_at, runs.c.finished_at, together).where(runs.c.id.in_(newest))
    return {
        row.view: (row.finished_at - row.started_at).total_seconds() / row.together
        for row in connection.execute(statement)
    }
