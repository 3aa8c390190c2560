"""Which pod of an Indexed Job copies which views: all of them about as long, by what each view's last run took."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, insert, select, text

from featureplane.materialization.history import SUCCEEDED
from featureplane.registry.tables import runs, shares

# A view without a run: as long as the median of the others, or this.
_UNKNOWN_SECONDS = 1.0


def share_of(
    connection: Connection, project: str, job: str, views: Iterable[str], share: int, of: int
) -> frozenset[str]:
    """The views of one pod. The first pod of a Job decides for all of them; views that came since go by their name."""
    wanted = sorted(views)
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"featureplane shares\x1f{project}\x1f{job}"},
    )
    decided = _decided(connection, project, job)
    missing = [view for view in wanted if view not in decided]
    if missing:
        spread = balanced(missing, _seconds(connection, project), of, decided)
        rows = [{"project": project, "job": job, "view": view, "share": number} for view, number in spread.items()]
        connection.execute(insert(shares), rows)
        decided |= spread
    return frozenset(view for view in wanted if decided[view] % of == share)


def balanced(
    views: Iterable[str], seconds: Mapping[str, float], of: int, taken: Mapping[str, int] | None = None
) -> dict[str, int]:
    """A share for each view: the longest first, each to whoever has least to do. Pure."""
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
    statement = select(shares.c.view, shares.c.share).where(shares.c.project == project, shares.c.job == job)
    return {row.view: row.share for row in connection.execute(statement)}


def _seconds(connection: Connection, project: str) -> dict[str, float]:
    """How long each view's last successful run took."""
    newest = (
        select(func.max(runs.c.id)).where(runs.c.project == project, runs.c.result == SUCCEEDED).group_by(runs.c.view)
    )
    statement = select(runs.c.view, runs.c.started_at, runs.c.finished_at).where(runs.c.id.in_(newest))
    return {row.view: (row.finished_at - row.started_at).total_seconds() for row in connection.execute(statement)}
