"""Rows of Feast's registry tables, read by protobuf descriptors alone, and which of them changed. Never imports Feast.

What serving needs, and no more: a worker of the server has little memory. `catalogue` makes definitions of them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import (
    BigInteger,
    Connection,
    LargeBinary,
    Select,
    String,
    bindparam,
    cast,
    column,
    func,
    inspect,
    literal_column,
    select,
    table,
    text,
    union_all,
)

from featureplane import names
from featureplane.registry import protos, tables

# Feast's tables (feast/infra/registry/sql.py): kind -> table, column with the message, message.
TABLES: dict[str, tuple[str, str, Any]] = {
    "project": ("projects", "project_proto", protos.Project),
    "entity": ("entities", "entity_proto", protos.Entity),
    "data_source": ("data_sources", "data_source_proto", protos.DataSource),
    "feature_view": ("feature_views", "feature_view_proto", protos.FeatureView),
    "feature_service": ("feature_services", "feature_service_proto", protos.FeatureService),
}
OTHER_VIEWS = {
    "on_demand_feature_views": ("on-demand feature view", protos.OnDemandFeatureView),
    "stream_feature_views": ("stream feature view", protos.StreamFeatureView),
    "label_views": ("label view", protos.LabelView),
}
STREAM_VIEWS = "stream_feature_views"
# What is asked for to serve rows, by kind, or by table where the kind of a view has no form of ours.
_SERVED = {kind: TABLES[kind] for kind in ("entity", "feature_view", "feature_service")} | {
    name: (name, "feature_view_proto", message) for name, (_, message) in OTHER_VIEWS.items()
}
# What is read of them: rows of the other views are only known by name.
_READ = {*TABLES, STREAM_VIEWS}
# Of a whole table as many rows are here at a time.
_ROWS = 500


def messages_of(
    connection: Connection, project: str, keys: Collection[tuple[str, str]]
) -> Iterator[tuple[str, str, Any]]:
    """Kind, name and message of these of Feast's objects, as far as they are there; None where it is unreadable."""
    for kind, (name, proto_column, message) in _present(connection).items():
        wanted = [key[1] for key in keys if key[0] == kind]
        if kind in _READ and wanted:
            for row in rows(connection, name, proto_column, project, wanted):
                try:
                    yield kind, row[0], message.FromString(row[1])
                except DecodeError:
                    yield kind, row[0], None


def versions(connection: Connection, project: str) -> dict[tuple[str, str], str]:
    """For each entity, service and view of any sort, by kind and name, what differs once its row is written again."""
    found: dict[tuple[str, str], str] = {}
    for kind, (name, proto, _) in _present(connection).items():
        feasts, its_name = _versioned(name, proto)
        query = select(its_name, cast(feasts.c.xmin, String)).where(feasts.c.project_id == project)
        found |= {(kind, row[0]): row[1] for row in connection.execute(query)}
    return found


def other_views(connection: Connection, project: str, keys: Iterable[tuple[str, str]]) -> Iterator[Any]:
    """Messages of views of other sorts, by the kind and name that `versions` has for them, as far as they are there and
    can be read.
    """
    wanted: dict[str, list[str]] = {}
    for kind, name in keys:
        if kind in OTHER_VIEWS:
            wanted.setdefault(kind, []).append(name)
    for kind, names_ in wanted.items():
        for row in rows(connection, kind, "feature_view_proto", project, names_):
            with suppress(DecodeError):
                yield OTHER_VIEWS[kind][1].FromString(row[1])


def digest(connection: Connection, project: str) -> tuple[Any, ...]:
    """What differs once `versions` do, without sending them: rows, and the sum of their hashes, of each table."""
    there = tuple(_present(connection))
    if not there:
        return ()
    return tuple(sorted(tuple(row) for row in connection.execute(_digests(there), {"project": project})))


@lru_cache(8)
def _digests(kinds: tuple[str, ...]) -> Any:
    """Making the statement takes longer than executing it, which is done each second."""
    counted: list[Any] = []
    for name, proto, _ in map(_SERVED.__getitem__, kinds):
        feasts, its_name = _versioned(name, proto)
        version = cast(cast(feasts.c.xmin, String), BigInteger)
        hashes = func.sum(func.hashtextextended(its_name, version))
        its_rows = feasts.c.project_id == bindparam("project", type_=String)
        counted.append(select(literal_column(f"'{name}'"), func.count(), hashes).where(its_rows))
    return union_all(*counted)


SNAPSHOT = "SELECT pg_current_snapshot()::text"


def snapshot(connection: Connection) -> str:
    """What is the same only as long as no transaction of the database's server that writes has ended (postgresql.org,
    "Transaction ID and Snapshot Information Functions"). On a standby it may be the same for longer.
    """
    return str(connection.execute(text(SNAPSHOT)).scalar())


def projects(connection: Connection) -> list[str]:
    """The projects that have feature views; Feast's tables must be there."""
    owner = column("project_id", String)
    return list(
        connection.execute(
            select(owner).distinct().select_from(table("feature_views", owner)).order_by(owner)
        ).scalars()
    )


def last_change(connection: Connection, project: str) -> int:
    """The number of the project's newest change of ours, 0 without any; our tables must be there."""
    changes = tables.changes.c
    return int(connection.execute(select(func.max(changes.seq)).where(changes.project == project)).scalar() or 0)


def rows(
    connection: Connection, name: str, wanted: str, project: str | None, only: Sequence[str] | None = None
) -> Iterable[Any]:
    id_column = "project_id" if name == "projects" else wanted.replace("_proto", "_name")
    feasts = table(
        name,
        column(id_column, String),
        column("project_id", String),
        column(wanted, LargeBinary if wanted.endswith("_proto") else String),
    )
    statement = select(feasts.c[id_column].label("name"), feasts.c[wanted]).order_by(feasts.c[id_column])
    if project is not None:
        statement = statement.where(feasts.c.project_id == project)
    if only is not None:
        statement = statement.where(feasts.c[id_column].in_(only))
    return executed(connection, statement, whole=only is None)


def executed(connection: Connection, statement: Select[Any], *, whole: bool) -> Iterable[Any]:
    """The rows; of a whole table, a cursor in the database holds those that are not looked at yet."""
    return connection.execute(statement.execution_options(yield_per=_ROWS) if whole else statement)


def has_permissions(connection: Connection, project: str) -> bool:
    """Whether Feast has a Permission for the project, which its own servers enforce."""
    if not inspect(connection).has_table("permissions"):
        return False
    feasts = table("permissions", column("project_id", String))
    found = select(feasts.c.project_id).where(feasts.c.project_id == project).limit(1)
    return connection.execute(found).first() is not None


_TABLES_THERE = text("SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NOT NULL")


def _present(connection: Connection) -> dict[str, tuple[str, str, Any]]:
    """What of `_SERVED` there are tables for: an older Feast has not made all of them."""
    wanted = [name for name, _, _ in _SERVED.values()]
    there = set(connection.execute(_TABLES_THERE, {"names": wanted}).scalars())
    return {kind: feasts for kind, feasts in _SERVED.items() if feasts[0] in there}


def _versioned(name: str, proto: str) -> tuple[Any, Any]:
    """A table of Feast's with its `xmin`, and the column of its rows' names."""
    feasts = table(name, column(proto.replace("_proto", "_name"), String), column("project_id", String), column("xmin"))
    return feasts, next(iter(feasts.c))


def has_schema(connection: Connection) -> bool:
    return inspect(connection).has_table("definitions", schema=names.SCHEMA)
