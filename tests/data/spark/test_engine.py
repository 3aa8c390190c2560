"""A project whose rows lie in Iceberg tables, copied by Feast's Spark engine: real pyspark, a real catalog."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from redis import Redis

from data.spark.iceberg import Sql, jar, utc
from factories import Object, a_feature, a_feature_view, a_spark_project, a_spark_source, an_entity, declared
from featureplane.materialization.history import FAILED, SUCCEEDED, Run
from featureplane.materialization.run import Materializer, materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.model.feast_project import FeastProject
from featureplane.names import FEATURE_STORE_FILE
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import render
from featureplane.settings import Stores

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
COLUMNS = "commodity STRING, px DOUBLE, volume BIGINT, history ARRAY<FLOAT>, event_timestamp TIMESTAMP, made TIMESTAMP"
FEATURES = {"price": "Float64", "volume": "Int64", "history": "Array(Float32)"}


def insert(sql: Sql, *rows: tuple[str, datetime, float], made: datetime = NOON) -> None:
    """A row for each commodity, time and price."""
    values = [
        f"('{name}', {price}, 7, array(float(0.5), float(1)), {utc(time)}, {utc(made)})" for name, time, price in rows
    ]
    sql(f"INSERT INTO lake.markets.prices VALUES {', '.join(values)}")


@pytest.fixture(scope="module")
def table(sql: Sql) -> None:
    sql(f"CREATE TABLE lake.markets.prices ({COLUMNS}) USING iceberg")
    insert(sql, ("gold", NOON - 3 * HOUR, 1.5), ("gold", NOON - 2 * HOUR, 2.5), ("silver", NOON - 2 * HOUR, 3.5))
    insert(sql, ("silver", NOON - 2 * HOUR, 4.5), made=NOON + HOUR)


def objects(conf: dict[str, str]) -> list[Object]:
    columns = {
        "entities": [an_entity()],
        "features": [a_feature(name, kind) for name, kind in FEATURES.items()],
    }
    names = {"fieldMapping": {"px": "price"}, "createdTimestampColumn": "made"}
    return [
        a_spark_project(
            offlineStore={"type": "spark", "options": {"spark_conf": conf}},
            batchEngine={"type": "spark.engine", "options": {"partitions": 2}},
        ),
        a_feature_view(**columns, source=a_spark_source("lake.markets.prices", **names)),
        a_feature_view("no-table", source=a_spark_source("lake.markets.nothing")),
        a_feature_view("no-catalog", source=a_spark_source("ocean.markets.prices")),
        a_feature_view("no-column", source=a_spark_source("lake.markets.prices")),
    ]


@pytest.fixture(scope="module")
def project(stores: Stores, conf: dict[str, str]) -> FeastProject:
    (found,) = declared(*objects(conf))
    with Writer(found.project, stores) as writer:
        writer.apply(compare("feast", define(found), Registered()))
    return found.project


@pytest.fixture(scope="module")
def engine(project: FeastProject, stores: Stores, lake: Path) -> Iterator[Materializer]:
    with materializer(project, stores, lake) as made:
        yield made


def run(engine: Materializer, view: str = "commodity_prices", start: datetime = BEGINNING, end: datetime = NOON) -> Run:
    (found,) = engine.run([Task(view, start, end, "hourly")])
    return found


@pytest.fixture(scope="module")
def first(engine: Materializer, table: None) -> Run:
    return run(engine)


@pytest.fixture(scope="module")
def second(engine: Materializer, first: Run, sql: Sql) -> Run:
    """An hour later, over the last two; rows before and after that window are not its own. Little time has gone by for
    the session, which must not take the table for what it was.
    """
    insert(sql, ("gold", NOON + HOUR / 2, 9.5), ("copper", NOON, 1.25), ("silver", NOON + 3 * HOUR, 99.0))
    insert(sql, ("tin", NOON - 2 * HOUR, 99.0))
    return run(engine, start=NOON - HOUR, end=NOON + HOUR)


@pytest.fixture
def online(
    stores: Stores, project: FeastProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, list[Any]]]:
    """What Feast's own SDK reads in the rendered repo."""
    for name, value in stores.environment().items():
        monkeypatch.setenv(name, value)

    def read(*names: str) -> dict[str, list[Any]]:
        from feast import FeatureStore

        (tmp_path / FEATURE_STORE_FILE).write_text(render(project, [])[FEATURE_STORE_FILE])
        references = [f"commodity_prices:{feature}" for feature in FEATURES]
        rows = [{"commodity": name} for name in names]
        return FeatureStore(str(tmp_path)).get_online_features(references, rows).to_dict()

    return read


def test_the_rendered_repo_is_one_that_feast_takes(project: FeastProject, engine: Materializer) -> None:
    from feast import RepoConfig

    config = RepoConfig(**yaml.safe_load(render(project, [])[FEATURE_STORE_FILE]))
    assert config.offline_store.spark_conf["spark.jars"] == str(jar())
    assert config.batch_engine.partitions == 2


def test_the_table_is_a_real_one_of_iceberg(table: None, sql: Sql) -> None:
    assert sql("SELECT count(*) FROM lake.markets.prices.snapshots") == [(2,)]


def test_feast_reads_the_newest_rows_of_an_iceberg_table(first: Run, online: Any) -> None:
    assert (first.result, first.message) == (SUCCEEDED, "")
    assert online("silver", "gold") == {
        "commodity": ["silver", "gold"],
        "price": [4.5, 2.5],
        "volume": [7, 7],
        "history": [[0.5, 1.0], [0.5, 1.0]],
    }


def test_nobody_claims_to_have_counted_the_rows(first: Run, stores: Stores) -> None:
    with psycopg.connect(**stores.postgres.keywords) as connection:
        counts = connection.execute(
            "SELECT rows_read, rows_written, rows_skipped, bytes_written, max_event_time FROM featureplane.runs "
            "WHERE view = 'commodity_prices' ORDER BY id LIMIT 1"
        ).fetchone()
    assert counts == (None, None, None, None, None)
    assert (first.rows_written, first.max_event_time) == (None, None)


def test_a_second_run_copies_the_new_rows_of_its_window_and_no_others(second: Run, online: Any) -> None:
    assert second.result == SUCCEEDED
    assert online("gold", "silver", "copper", "tin")["price"] == [9.5, 4.5, 1.25, None]


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (
            "no_table",
            (
                "Spark: [TABLE_OR_VIEW_NOT_FOUND] The table or view `lake`.`markets`.`nothing` cannot be found. "
                "Verify the spelling and correctness of the schema and catalog; correct spec.source.spark.table"
            ),
        ),
        (
            "no_catalog",
            (
                "Spark: [REQUIRES_SINGLE_PART_NAMESPACE] spark_catalog requires a single-part namespace, but got "
                "`ocean`.`markets`. SQLSTATE: 42K05; "
                "the FeastProject's spark_conf lacks the catalog in spec.source.spark.table"
            ),
        ),
        (
            "no_column",
            (
                "Spark: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name "
                "`price` cannot be resolved."
            ),
        ),
    ],
)
def test_a_source_that_is_not_right_fails_its_view_and_says_why(
    engine: Materializer, table: None, view: str, message: str
) -> None:
    found = run(engine, view)
    assert found.result == FAILED
    assert found.message.startswith(message)
    assert "\n" not in found.message


def test_a_failed_view_stops_no_other(engine: Materializer, second: Run) -> None:
    tasks = [Task(view, BEGINNING, NOON + HOUR, "hourly") for view in ("no_table", "commodity_prices")]
    assert [found.result for found in engine.run(tasks)] == [FAILED, SUCCEEDED]


def test_what_breaks_in_a_worker_is_told_in_a_line(engine: Materializer, first: Run, stores: Stores) -> None:
    address = stores.redis
    with Redis(address.host, address.port, password=address.password) as client:
        client.config_set("requirepass", "another")
        try:
            found = run(engine)
        finally:
            client.config_set("requirepass", address.password)
    assert found.result == FAILED
    assert found.message.startswith("Spark: ")
    assert re.search(r"invalid username-password|WRONGPASS", found.message), found.message
    assert "\n" not in found.message
