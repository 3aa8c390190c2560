"""A view on an Iceberg table that Feast's Spark engine has copied: its parity and its rows, as a user asks for them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.commands import Place
from cli.examples import named_stores
from data.spark.iceberg import Sql, utc
from factories import a_feature, a_feature_view, a_spark_project, a_spark_source, an_entity, to_yaml

# Each command starts a Java, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(900)

TABLE = "lake.markets.prices"
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = [a_feature("price", "Float64"), a_feature("history", "Array(Float32)")]


def row(number: int, price: float, at: datetime = START) -> str:
    return f"('c{number}', {price}D, array(float(0.5), float({number})), {utc(at)})"


def insert(sql: Sql, *rows: str) -> None:
    sql(f"INSERT INTO {TABLE} VALUES {', '.join(rows)}")


@pytest.fixture(scope="module")
def copied(sql: Sql, conf: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each of ten commodities has an older row as well."""
    sql(f"CREATE TABLE {TABLE} (commodity STRING, px DOUBLE, history ARRAY<FLOAT>, ts TIMESTAMP) USING iceberg")
    insert(sql, *(row(number, number / 4) for number in range(10)))
    insert(sql, *(row(number, 99.0, START - HOUR) for number in range(10)))
    source = a_spark_source(TABLE, timestampField="ts", fieldMapping={"px": "price"})
    place = Place(tmp_path_factory.mktemp("parity"))
    place.state.mkdir()
    place.write(
        "project.yaml",
        to_yaml(
            a_spark_project(offlineStore={"type": "spark", "options": {"spark_conf": conf}}),
            a_feature_view("prices", entities=[an_entity()], features=FEATURES, source=source),
        ),
    )
    with named_stores(place):
        for command in ("apply", "materialize"):
            ran = place(command, "project.yaml")
            assert ran.status == 0, ran
        yield place


def said(place: Place, *command: str) -> dict[str, Any]:
    ran = place(*command)
    assert ran.status == 0, ran
    return dict(json.loads(ran.out))


def look(place: Place, *arguments: str) -> dict[str, Any]:
    (found,) = said(place, "parity", "project.yaml", "--json", *arguments)["views"]
    return dict(found)


def test_what_the_engine_copied_is_equal_and_what_the_table_says_since_is_found(copied: Place, sql: Sql) -> None:
    found = look(copied)
    assert (found["rate"], found["compared"], found["values_equal"]) == (1.0, 10, 20), found
    sql(f"DELETE FROM {TABLE} WHERE commodity IN ('c1', 'c2')")
    insert(sql, row(1, 7.5), row(11, 1.0))
    found = look(copied)
    assert {kind: found[kind] for kind in ("equal", "different", "extra", "missing")} == {
        "equal": 8, "different": 1, "extra": 1, "missing": 1
    }, found  # fmt: skip
    (changed,) = [each for each in found["differences"] if each["kind"] == "different"]
    assert (changed["entity"], changed["feature"]) == ({"commodity": "c1"}, "price")
    assert (changed["online"], changed["offline"]) == (0.25, 7.5)


def test_an_entitys_rows_come_from_the_table_and_one_of_before_is_served_again(copied: Place) -> None:
    of_entity = ["project.yaml", "--view", "prices", "-e", "commodity=c3", "--json"]
    rows = said(copied, "row-history", *of_entity)["rows"]
    assert [(each["values"]["price"], each["served"]) for each in rows] == [(0.75, True), (99.0, False)], rows
    rolled = said(copied, "roll-back", *of_entity, "--to", START.isoformat())
    assert (rolled["source"]["values"]["price"], rolled["done"]) == (0.75, False), rolled
    rolled = said(copied, "roll-back", *of_entity, "--to", (START - HOUR).isoformat(), "--yes")
    assert (rolled["after"]["values"], rolled["done"]) == ({"price": 99.0, "history": [0.5, 3.0]}, True), rolled


def test_a_table_that_is_gone_fails_its_view(copied: Place, sql: Sql) -> None:
    sql(f"DROP TABLE {TABLE}")
    ran = copied("parity", "project.yaml")
    assert ran.status == 1
    assert f"table {TABLE} (of prices) cannot be read: Spark: [TABLE_OR_VIEW_NOT_FOUND]" in " ".join(ran.err.split())
