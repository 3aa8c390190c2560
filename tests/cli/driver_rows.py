"""Drivers with several rows each, in a project on files and in one on a table of PostgreSQL."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from pyarrow import parquet

from cli.commands import Place
from factories import (
    a_feature,
    a_feature_view,
    a_postgres_source,
    a_project,
    a_source,
    an_entity,
    project_model,
    to_yaml,
)
from featureplane.entities.served import catalogue_of
from featureplane.entities.writing import write
from featureplane.local.stores import embedded_stores
from featureplane.registry.database import ensure_database
from featureplane.settings import PostgresAddress, Stores

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")
FEATURES = [a_feature("trips", "Int64", checks={"minimum": 0}), a_feature("rating", "Float64")]
TIMES = {"timestampField": "event_timestamp", "createdTimestampColumn": "created"}
STATS = a_feature_view(
    "driver-stats", entities=[DRIVER], features=FEATURES, source=a_source(file={"path": "stats.parquet"}, **TIMES)
)
BANK = a_project("bank", project="bank", offlineStore={"type": "postgres"})
TABLE = a_feature_view(
    "driver-stats",
    projectRef={"name": "bank"},
    entities=[DRIVER],
    features=FEATURES,
    source=a_postgres_source("public.stats", **TIMES),
)
ROUTES = a_feature_view(
    "route-stats",
    entities=[DRIVER, an_entity("city", joinKey="city", type="String")],
    features=[a_feature("rides", "Int64")],
    source=a_source(file={"path": "routes.parquet"}, timestampField="event_timestamp"),
)


ARCHIVE = a_feature_view(
    "route-archive",
    entities=[an_entity("city", joinKey="city", type="String")],
    features=[a_feature("rides", "Int64")],
    source=a_source(file={"path": "routes.parquet"}, timestampField="event_timestamp"),
    online=False,
)


def a_row(driver: int, hours: float, trips: int | None, rating: float | None = 0.5, late: float = 0) -> dict[str, Any]:
    at = NOW - hours * HOUR
    return {
        "driver_id": driver, "event_timestamp": at, "created": at + late * HOUR, "trips": trips, "rating": rating,
    }  # fmt: skip


# Of driver 1: a row that came late for a time that had one, a row that a check refuses, and one without a value.
ROWS = [
    a_row(1, 5, 50), a_row(1, 4, 40), a_row(1, 4, 41, late=1), a_row(1, 3, None), a_row(2, 2, 2), a_row(1, 6, -1),
    a_row(3, 9, 9), a_row(4, 1, 1), a_row(5, 1, 5), a_row(5, 2, 6),
]  # fmt: skip
_NAMES = "driver_id, event_timestamp, created, trips, rating"
_KINDS = "driver_id bigint, event_timestamp timestamptz, created timestamptz, trips bigint, rating double precision"


@contextmanager
def driver_rows(folder: Path) -> Iterator[tuple[Place, Stores]]:
    """A folder with the two projects and their stores. All was copied, and driver 2 then pushed."""
    made = Place(folder)
    (made.folder / "data").mkdir()
    parquet.write_table(pa.Table.from_pylist(ROWS), made.folder / "data" / "stats.parquet", row_group_size=2)
    at = {"event_timestamp": NOW}
    routes = [{"driver_id": 1, "city": "Rome", "rides": 7, **at}, {"driver_id": 1, "city": "Oslo", "rides": 8, **at}]
    parquet.write_table(pa.Table.from_pylist(routes), made.folder / "data" / "routes.parquet")
    (made.folder / "feast.yaml").write_text(to_yaml(STATS, ROUTES, ARCHIVE))
    (made.folder / "bank.yaml").write_text(to_yaml(BANK, TABLE))
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]) as found:
        stores = Stores(found.postgres.with_database("feast"), found.redis)
        _fill(stores.postgres)
        for project in ("feast", "bank"):
            for command in ("apply", "materialize"):
                ran = made(command, f"{project}.yaml")
                assert ran.status == 0, ran.err
            push(stores, project, "driver_stats", {"driver_id": 2, "trips": 3, "rating": 1.5}, NOW)
        made.variables = stores.environment()
        yield made, stores


def _fill(address: PostgresAddress) -> None:
    ensure_database(address)
    with psycopg.connect(**address.keywords) as connection:
        connection.execute(f"CREATE TABLE public.stats ({_KINDS})")
        statement = f"INSERT INTO public.stats ({_NAMES}) VALUES (%s, %s, %s, %s, %s)"
        connection.cursor().executemany(statement, [tuple(each.values()) for each in ROWS])


def push(stores: Stores, project: str, view: str, values: Mapping[str, Any], at: datetime) -> None:
    """Write one row by the server's own writer."""
    with catalogue_of(project_model(project=project), stores, writes=True) as catalogue:
        outcome = write(stores, catalogue, view, {**values, "event_timestamp": at.isoformat()})
    assert outcome.written == 1
