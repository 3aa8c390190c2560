"""An entity's rows as they come out of real tables of PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from featureplane.entities.entity import entity_of
from featureplane.entities.source import newest_rows
from featureplane.errors import SourceError, StoreUnavailable
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.rows import View
from featureplane.parity.values import shown
from featureplane.settings import PostgresAddress, Stores

DAY = datetime(2026, 1, 1, tzinfo=UTC)
ONE = "6f6d0c5e-9d3c-4b52-8a0f-0f6f7d3a1b11"


@pytest.fixture(scope="module")
def offline(servers: Stores) -> PostgresAddress:
    """A database of our own with source tables."""
    with psycopg.connect(autocommit=True, **servers.postgres.keywords) as connection:
        connection.execute("CREATE DATABASE offline_of_entities")
    return servers.postgres.with_database("offline_of_entities")


def a_view(kind: str, **changes: Any) -> View:
    source = {
        "type": "postgres", "table": "public.rows", "timestamp_field": "at", "created_timestamp_column": "",
        "field_mapping": {}, **changes,
    }  # fmt: skip
    return View("feast", "prices", (("key", kind),), (("price", "Float64"),), source)


def fill(offline: PostgresAddress, kind: str, *keys: Any) -> None:
    """A row for each key, an hour apart, of which the price is the number, and the newest came first."""
    with psycopg.connect(**offline.keywords) as connection:
        connection.execute("DROP TABLE IF EXISTS public.rows")
        connection.execute(f"CREATE TABLE public.rows (key {kind}, at timestamptz, came timestamptz, price numeric)")
        for number, key in enumerate(keys):
            at = "timestamptz '2026-01-01 00:00Z' + make_interval(hours => %s)"
            statement = f"INSERT INTO public.rows SELECT %s::{kind}, {at}, {at}, %s"
            connection.execute(statement, (key, number, -number, number))


def prices(offline: PostgresAddress, view: View, value: Any, most: int = 10, **bounds: datetime) -> list[Any]:
    rows = newest_rows(entity_of(view, {"key": [value]}), Places(Path(), offline), most, **bounds)
    return [shown(row.values[0]) for row in rows]


@pytest.mark.parametrize(
    ("kind", "column", "keys", "value", "found"),
    [
        ("String", "text", ["x", "o'neil; --", None, "x"], "x", [3.0, 0.0]),
        ("String", "varchar(20)", ["x", "o'neil; --", None, "x"], "o'neil; --", [1.0]),
        ("String", "char(4)", ["x", "y", "z", "x"], "x   ", [3.0, 0.0]),
        ("String", "bigint", [7, 8, None, 7], "7", [3.0, 0.0]),
        ("String", "bigint", [7, 8, None, 7], "seven", []),
        ("String", "uuid", [ONE, None, None, ONE], ONE, [3.0, 0.0]),
        ("Int64", "integer", [7, -8, None, 7], -8, [1.0]),
        ("Int64", "integer", [7, -8, None, 7], 2**40, []),
        ("Int64", "double precision", [7, 7.5, None, 7], 7, [3.0, 0.0]),
        ("UnixTimestamp", "timestamptz", ["2026-01-01 00:00:00.9Z", "2026-01-01 01:00+01", DAY, "2026-01-01 00:00:01Z"],
         int(DAY.timestamp()), [2.0, 1.0, 0.0]),
        ("UnixTimestamp", "date", ["2026-01-01", "2026-01-02", None, "2026-01-01"], int(DAY.timestamp()), [3.0, 0.0]),
    ],
)  # fmt: skip
def test_whatever_holds_the_key(
    offline: PostgresAddress, kind: str, column: str, keys: list[Any], value: Any, found: list[float]
) -> None:
    fill(offline, column, *keys)
    assert prices(offline, a_view(kind), value) == found


def test_order_and_bounds(offline: PostgresAddress) -> None:
    fill(offline, "text", "x", "x", "x")
    assert prices(offline, a_view("String"), "x", 2) == [2.0, 1.0]
    assert prices(offline, a_view("String", timestamp_field="came"), "x") == [0.0, 1.0, 2.0]
    second = DAY.replace(hour=1)
    assert prices(offline, a_view("String"), "x", until=second) == [1.0, 0.0]
    assert prices(offline, a_view("String"), "x", at=second) == [1.0]
    with psycopg.connect(**offline.keywords) as connection:
        connection.execute("UPDATE public.rows SET at = %s", (DAY,))
    by_creation = a_view("String", created_timestamp_column="came")
    assert prices(offline, by_creation, "x") == [0.0, 1.0, 2.0]
    assert prices(offline, a_view("String"), "x") == [2.0, 1.0, 0.0]


def test_what_cannot_be_read_is_said(offline: PostgresAddress) -> None:
    with pytest.raises(SourceError, match="there is no such table"):
        prices(offline, a_view("String", table="public.none"), "x")
    away = PostgresAddress({**offline.keywords, "dbname": "none"})
    with pytest.raises(StoreUnavailable, match="does not answer"):
        prices(away, a_view("String"), "x")


def test_a_value_is_a_text_in_a_database_that_reads_backslashes_as_escapes(offline: PostgresAddress) -> None:
    fill(offline, "text", "a\\b", "c")
    setting = "ALTER DATABASE offline_of_entities {} standard_conforming_strings"
    with psycopg.connect(autocommit=True, **offline.keywords) as connection:
        connection.execute(setting.format("SET") + " = off")
    try:
        assert prices(offline, a_view("String"), "a\\b") == [0.0]
        assert prices(offline, a_view("String"), "\\' OR true --") == []
    finally:
        with psycopg.connect(autocommit=True, **offline.keywords) as connection:
            connection.execute(setting.format("RESET"))
