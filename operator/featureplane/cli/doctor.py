"""`featureplane doctor`: are the stores and sources reachable, of the right version, and how fast."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import typer
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rich.text import Text
from sqlalchemy import Engine, text

from featureplane.cli.console import counted, print_json, printable, show_table, table
from featureplane.cli.workspace import (
    AsJson,
    DataRootPath,
    Paths,
    Workspace,
    definitions,
    objects_reached,
    open_stores,
    open_workspaces,
)
from featureplane.errors import FeatureplaneError
from featureplane.materialization.readers.scan import source_files
from featureplane.materialization.sources import local_files, table_columns, wanted_columns
from featureplane.model.feast_project import CassandraOnlineStore
from featureplane.online import cassandra
from featureplane.online.cassandra_errors import answering
from featureplane.online.connect import connect
from featureplane.registry import catalogue, feast_rows, schema
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.rendering.definitions import Definition
from featureplane.settings import CassandraAccount, PostgresAddress, Settings, Stores

_OLDEST_POSTGRES = 13
_OLDEST_REDIS = (6, 2)
_SLOW_MS = 20.0
_SAMPLES = 20

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    detail: str
    milliseconds: float | None = None


def doctor(paths: Paths, data_root: DataRootPath = None, as_json: AsJson = False) -> None:
    """Look at registry, online store and sources.

    Are they reachable, of the right version, and how fast.

    Exit status: 0 all well (warnings included), 2 something does not work.
    """
    workspaces = open_workspaces(paths, data_root, look_at_sources=False)
    with open_stores(Settings.from_env()) as stores:
        findings = [*_registry(stores, workspaces), *_online_stores(stores, workspaces)]
        for workspace in workspaces:
            offline = workspace.settings.offline if workspace.settings.offline.keywords else stores.postgres
            findings += [*_sources(workspace), *_tables_of(workspace, offline)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(2)


def _registry(stores: Stores, workspaces: list[Workspace]) -> Iterator[Finding]:
    address = stores.postgres
    engine = engine_for(address)
    try:
        if not database_exists(address):
            yield Finding("registry", "warn", f"there is no database at {address} yet; the first apply makes it")
            return
        with begin(engine, address) as connection:
            version = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10000
            latency = _median_ms(lambda: connection.execute(text("SELECT 1")))
        state: State = "fail" if version < _OLDEST_POSTGRES else "warn" if latency > _SLOW_MS else "ok"
        yield Finding("registry", state, f"PostgreSQL {version} at {address}", latency)
        yield from _tables(engine, stores, workspaces)
    except FeatureplaneError as error:
        yield Finding("registry", "fail", str(error))
    finally:
        engine.dispose()


def _tables(engine: Engine, stores: Stores, workspaces: list[Workspace]) -> Iterator[Finding]:
    with begin(engine, stores.postgres) as connection:
        current = feast_rows.has_schema(connection) and schema.is_current(connection)
        yield Finding(
            "schema",
            "ok" if current else "warn",
            f"level {schema.LEVEL}" if current else "not there yet, or of an older release; the next apply sees to it",
        )
        code = catalogue.python_code(connection)
        trusted = all(item.declarations.project.spec.registry.trust_user_defined_functions for item in workspaces)
        if code:
            yield Finding(
                "registry code", "warn" if trusted else "fail", f"Feast executes Python found in {', '.join(code[:5])}"
            )
        for item in workspaces:
            known = catalogue.read(connection, item.feast_project)
            views = len(known.features)
            yield Finding(
                f"project {item.feast_project}",
                "ok",
                f"{counted(views, 'view')} registered, {counted(len(known.foreign), 'object')} of Feast's alone",
            )


def _online_stores(stores: Stores, workspaces: list[Workspace]) -> Iterator[Finding]:
    """Redis, where a project has its rows there, and each Cassandra."""
    others = [(item, item.declarations.project.spec.online_store.cassandra) for item in workspaces]
    if not others or any(store is None for _, store in others):
        yield from _online_store(stores)
    for workspace, store in others:
        if store is not None:
            yield _cassandra(store, workspace.settings.cassandra)


def _cassandra(store: CassandraOnlineStore, account: CassandraAccount) -> Finding:
    try:
        session = cassandra.connect(store, account)
    except FeatureplaneError as error:
        return Finding("online store", "fail", str(error))
    try:
        with answering(store):
            version = session.execute("SELECT release_version FROM system.local").one().release_version
            latency = _median_ms(lambda: session.execute("SELECT key FROM system.local"))
    except FeatureplaneError as error:
        return Finding("online store", "fail", str(error))
    finally:
        session.cluster.shutdown()
    detail = f"Cassandra {version} at {', '.join(store.hosts)}, keyspace {store.keyspace}"
    return Finding("online store", "warn" if latency > _SLOW_MS else "ok", detail, latency)


def _online_store(stores: Stores) -> Iterator[Finding]:
    address = stores.redis
    client = None
    try:
        client = connect(address, socket_connect_timeout=5, socket_timeout=5, retry=Retry(NoBackoff(), 1))
        info: dict[str, Any] = dict(client.info())
        latency = _median_ms(client.ping)
    except RedisError as error:
        yield Finding("online store", "fail", f"Redis at {address} does not answer: {str(error).splitlines()[0]}")
        return
    finally:
        if client is not None:
            with suppress(RedisError):
                client.close()
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    state: State = "fail" if version < _OLDEST_REDIS else "warn" if latency > _SLOW_MS else "ok"
    yield Finding(
        "online store",
        state,
        f"Redis {info['redis_version']} at {address}, {info.get('used_memory_human', '?')} used",
        latency,
    )
    policy = str(info.get("maxmemory_policy", ""))
    if policy not in {"", "noeviction"}:
        yield Finding(
            "online store memory",
            "warn",
            f"maxmemory-policy is {policy}: rows may vanish before their ttl; set noeviction",
        )


def _tables_of(workspace: Workspace, address: PostgresAddress) -> Iterator[Finding]:
    """Postgres sources: is the table there, has it the columns."""
    for view in workspace.declarations.views:
        source = view.spec.source.postgres
        if source is None:
            continue
        what = f"source of {view.feast_name}"
        try:
            start = time.perf_counter()
            columns = table_columns(address, source.table)
        except FeatureplaneError as error:
            yield Finding(what, "fail", str(error))
            continue
        missing = sorted(wanted_columns(view) - columns)
        detail = f"has no column {', '.join(missing)}" if missing else f"{counted(len(columns), 'column')}"
        taken = round((time.perf_counter() - start) * 1000, 2)
        yield Finding(what, "fail" if missing else "ok", f"table {source.table} at {address}: {detail}", taken)


def _sources(workspace: Workspace) -> Iterator[Finding]:
    if not any(view.spec.source.file for view in workspace.declarations.views):
        return
    if workspace.has_objects:
        yield from _objects(workspace)
        return
    if workspace.local_root is None:
        yield Finding("sources", "warn", "not on this machine; name a copy with --data-root to look into them")
        return
    for view in workspace.declarations.views:
        where = local_files(view, workspace.local_root)
        if where is None:
            continue
        place, found = where
        files = [file for item in found for file in ([item] if item.is_file() else item.rglob("*")) if file.is_file()]
        size = sum(file.stat().st_size for file in files)
        yield Finding(
            f"source of {view.feast_name}",
            "ok" if files else "fail",
            f"{place}: {counted(len(files), 'file')}, {size / 2**20:.1f} MiB"
            if files
            else f"there is nothing at {place}",
        )
    for problem in workspace.source_problems():
        if problem.reason != "SourceNotFound":
            yield Finding("source", "fail", str(problem))


def _objects(workspace: Workspace) -> Iterator[Finding]:
    """File sources in an object store."""
    with objects_reached(workspace):
        for item in definitions(workspace):
            if item.kind == "data_source" and item.spec["type"] == "file":
                yield _object(item, workspace)


def _object(source: Definition, workspace: Workspace) -> Finding:
    """Are there files, and may they be read."""
    what, path = f"source {source.name}", str(source.spec["path"])
    start = time.perf_counter()
    try:
        files = source_files(path, str(source.spec["format"]), workspace.repo_path)
    except FeatureplaneError as error:
        return Finding(what, "fail", str(error))
    taken = round((time.perf_counter() - start) * 1000, 2)
    return Finding(what, "ok", f"{path}: {counted(len(files.paths), 'file')}", taken)


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_SAMPLES):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return round(sorted(times)[_SAMPLES // 2], 2)


_STYLES: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}


def _show(findings: list[Finding]) -> None:
    rows = table("WHAT", "STATE", "right:MS", "DETAIL")
    for finding in findings:
        latency = "" if finding.milliseconds is None else f"{finding.milliseconds:.2f}"
        state = Text(finding.state, style=_STYLES[finding.state])
        rows.add_row(printable(finding.what), state, latency, printable(finding.detail, 400))
    show_table(rows)
