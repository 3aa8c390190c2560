"""Training sets from Iceberg tables, as a user asks for them, compared with looking at every row for every moment."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.commands import Place
from cli.examples import named_stores
from data.spark.iceberg import Sql, utc
from factories import (
    a_feature,
    a_feature_view,
    a_service,
    a_spark_project,
    a_spark_source,
    an_entity,
    to_yaml,
)
from point_in_time import Row, as_known

# Each command starts a Java, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(900)

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
TTL = 10 * MINUTE
TABLE, BROKEN = "lake.markets.trades", "lake.markets.broken"
COLUMNS = (
    "commodity STRING, region BIGINT, ts TIMESTAMP, naive TIMESTAMP_NTZ, created TIMESTAMP, px DOUBLE, volume BIGINT, "
    "tags ARRAY<STRING>, marks MAP<STRING, BIGINT>, day DATE"
)
KEYS = [an_entity("commodity", type="String"), an_entity("region", type="Int64")]
FEATURES = [a_feature("price", "Float64"), a_feature("volume", "Int64"), a_feature("tags", "Array(String)")]
NAMES = ["price", "volume", "tags"]
# As a view's: its join keys, features, ttl, and whether it has a created timestamp.
VIEWS: dict[str, tuple[list[str], list[str], timedelta, bool]] = {
    "by_both": (["commodity", "region"], NAMES, TTL, True),
    "by_region": (["region"], NAMES, timedelta(0), True),
    "uncreated": (["commodity"], ["price"], TTL, False),
}


def random_rows(random: Random) -> list[Row]:
    """Few values, so that most rows meet: "1" and 11 beside "11" and 1 would be one text."""
    finer = [timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1)]
    return [
        {
            "commodity": random.choice(["1", "11", "gold", "ü'\"", None]),
            "region": random.choice([1, 11, -(2**53) - 1, None]),
            "at": START + random.randrange(40) * MINUTE + random.choice(finer),
            "created": random.choice([None, *(START + minute * MINUTE for minute in range(4))]),
            "price": random.choice([None, 0.5, -1.0, 1e300]),
            "volume": random.choice([None, 0, 2**53 + 1]),
            "tags": random.choice([None, [], ["a", "ü"]]),
        }
        for _ in range(250)
    ]


def random_entities(random: Random) -> list[Row]:
    """Some are there twice, some have no row or none that is young enough."""
    finer = [timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1)]
    return [
        {
            "commodity": random.choice(["1", "11", "gold", "ü'\"", "nobody's"]),
            "region": random.choice([1, 11, -(2**53) - 1, 7]),
            "event_timestamp": START + random.randrange(-5, 60) * MINUTE + random.choice(finer),
            "label": number % 3,
        }
        for number in range(250)
    ]


def in_sql(row: Row) -> str:
    def text(value: str | None) -> str:
        return "NULL" if value is None else "'" + value.replace("'", "\\'") + "'"

    def number(value: float | None, kind: str) -> str:
        return "NULL" if value is None else f"{kind} '{value}'" if kind != "BIGINT" else f"{value}L"

    tags = "NULL" if row["tags"] is None else f"CAST(array({', '.join(map(text, row['tags']))}) AS ARRAY<STRING>)"
    naive = f"TIMESTAMP_NTZ '{row['at']:%Y-%m-%d %H:%M:%S.%f}'"
    price = "NULL" if row["price"] is None else f"{row['price']!r}D"
    values = [text(row["commodity"]), number(row["region"], "BIGINT"), utc(row["at"]), naive, utc(row["created"]),
              price, number(row["volume"], "BIGINT"), tags, "map('a', 1L)", "DATE '2026-01-01'"]  # fmt: skip
    return f"({', '.join(values)})"


def in_order(rows: list[Row], names: list[str]) -> list[Row]:
    """A table has no order: of rows with the same times the greatest counts."""

    def weight(row: Row) -> Any:
        return [(True, row[name]) if row[name] is not None else (False,) for name in names]

    return sorted(rows, key=weight)


@dataclass(frozen=True)
class Trades:
    """A folder whose project reads the table, and the table's rows."""

    place: Place
    rows: list[Row]

    def asked(self, *arguments: str, entities: list[Row], out: str = "training.parquet", status: int = 0) -> str:
        table = pa.Table.from_pylist([dict(each) for each in entities])
        parquet.write_table(table, self.place.folder / "labels.parquet")
        ran = self.place("training-set", *arguments, "project.yaml", "--entities", "labels.parquet", "--out", out)
        assert ran.status == status, ran
        return " ".join((ran.out + ran.err).split())

    def read(self, out: str = "training.parquet") -> list[dict[str, Any]]:
        return parquet.read_table(self.place.folder / out).to_pylist()


@pytest.fixture(scope="module")
def trades(sql: Sql, conf: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trades]:
    rows = random_rows(Random(5))
    sql(f"CREATE TABLE {TABLE} ({COLUMNS}) USING iceberg")
    sql(f"INSERT INTO {TABLE} VALUES {', '.join(map(in_sql, rows))}")
    place = Place(tmp_path_factory.mktemp("training"))
    place.state.mkdir()
    place.write("project.yaml", to_yaml(*objects(conf)))
    with named_stores(place):
        ran = place("apply", "project.yaml")
        assert ran.status == 0, ran
        yield Trades(place, rows)


def objects(conf: dict[str, str]) -> list[Any]:
    names = {"timestampField": "ts", "fieldMapping": {"px": "price"}, "createdTimestampColumn": "created"}
    source = a_spark_source(TABLE, **names)
    return [
        a_spark_project(offlineStore={"type": "spark", "options": {"spark_conf": conf}}),
        a_feature_view("by-both", entities=KEYS, features=FEATURES, ttl="10m", source=source),
        a_feature_view("by-region", entities=KEYS[1:], features=FEATURES, source=source),
        a_feature_view(
            "uncreated", entities=KEYS[:1], features=FEATURES[:1], ttl="10m",
            source=a_spark_source(TABLE, timestampField="naive", fieldMapping={"px": "price"}),
        ),
        a_feature_view("no-table", entities=KEYS[:1], source=a_spark_source("lake.markets.nothing")),
        a_feature_view("broken", entities=KEYS[:1], features=FEATURES[:1], source=a_spark_source(BROKEN, **names)),
        a_feature_view("no-column", entities=KEYS[:1], source=a_spark_source(TABLE, timestampField="day")),
        a_service("all", views=[{"name": name} for name in VIEWS]),
    ]  # fmt: skip


def test_every_row_is_as_it_was_known_at_its_moment(trades: Trades) -> None:
    entities = random_entities(Random(7))
    said = trades.asked("all", "--full-feature-names", "--allow-duplicates", entities=entities)
    assert "250 rows in training.parquet" in said
    found = trades.read()
    assert [{name: row[name] for name in entities[0]} for row in found] == entities
    for view, (keys, names, ttl, has_created) in VIEWS.items():
        history = in_order(trades.rows, [*keys, *names])
        if not has_created:
            history = [{**row, "created": None} for row in history]
        assert any(row[f"{view}__price"] is not None for row in found)
        for row, entity in zip(found, entities, strict=True):
            expected = as_known(history, entity, keys, names, ttl)
            assert {name: row[f"{view}__{name}"] for name in names} == expected, (view, entity)


def test_its_record_says_what_it_was_made_from(trades: Trades) -> None:
    entity = {"commodity": "gold", "region": 1, "event_timestamp": START + TTL}
    trades.asked("--feature", "by_both:price", entities=[entity], out="few.parquet")
    record = json.loads((trades.place.folder / "few.parquet.json").read_text())
    assert record["features"] == {"price": "by_both:price"}
    assert "data_source/by_both_source" in record["definitions"]


def test_files_without_a_row_of_the_entities_are_not_read_and_one_that_is_gone_is_told_in_a_line(
    trades: Trades, sql: Sql, lake: Path
) -> None:
    sql(f"CREATE TABLE {BROKEN} ({COLUMNS}) USING iceberg")
    files = lake / "lake" / "markets" / "broken" / "data"
    row = {"region": 1, "at": START, "created": None, "volume": None, "tags": None}
    sql(f"INSERT INTO {BROKEN} VALUES {in_sql({**row, 'commodity': 'gold', 'price': 1.5})}")
    of_gold = set(files.glob("*.parquet"))
    sql(f"INSERT INTO {BROKEN} VALUES {in_sql({**row, 'commodity': 'silver', 'price': 2.5})}")
    (of_silver,) = set(files.glob("*.parquet")) - of_gold
    of_silver.unlink()
    trades.asked("-f", "broken", entities=[{"commodity": "gold", "event_timestamp": START}], out="gold.parquet")
    assert [row["price"] for row in trades.read("gold.parquet")] == [1.5]
    entity = {"commodity": "silver", "event_timestamp": START}
    said = trades.asked("-f", "broken", entities=[entity], out="silver.parquet", status=2)
    assert f"table {BROKEN} (of broken) cannot be read: Spark: " in said
    assert of_silver.name in said
    assert len(said) < 1000
    assert not list(trades.place.folder.glob("*silver.parquet*"))


@pytest.mark.parametrize(
    ("view", "why"),
    [
        ("no_table", "table lake.markets.nothing (of no_table) cannot be read: Spark: [TABLE_OR_VIEW_NOT_FOUND]"),
        ("no_column", f"table {TABLE} (of no_column): there is no column 'price'; its columns are commodity"),
    ],
)
def test_a_table_that_is_not_right_is_named_and_nothing_written(trades: Trades, view: str, why: str) -> None:
    entity = {"commodity": "gold", "event_timestamp": START}
    said = trades.asked("--feature", view, entities=[entity], out="none.parquet", status=2)
    assert why in said
    assert not list(trades.place.folder.glob("*none.parquet*"))
