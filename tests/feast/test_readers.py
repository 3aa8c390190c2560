"""The latest rows of PostgreSQL tables; a real server."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from featureplane.errors import FeatureplaneError, SourceError, StoreUnavailable
from featureplane.materialization.readers.opening import Places, open_reader
from featureplane.materialization.rows import EVENT_TIME, View, Window
from featureplane.settings import PostgresAddress

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
NOON = DAY.start + timedelta(hours=12)


def a_view(table="prices", **changes):
    source = {"type": "postgres", "table": table, "timestamp_field": "at", "created_timestamp_column": ""}
    source["field_mapping"] = {}
    source |= {name: changes.pop(name) for name in list(changes) if name in source}
    keys = changes.pop("keys", (("commodity", "String"),))
    return View("feast", "prices", keys, changes.pop("features", (("price", "Float64"),)), source, **changes)


@pytest.fixture(scope="session")
def offline(servers):
    """A database with source tables."""
    address = servers.postgres.with_database("offline_of_readers")
    with psycopg.connect(autocommit=True, **servers.postgres.keywords) as connection:
        connection.execute("CREATE DATABASE offline_of_readers")
    return address


@pytest.fixture
def tables(offline):
    """A connection to it; what the test made is dropped afterwards."""
    with psycopg.connect(autocommit=True, **offline.keywords) as connection:
        yield connection
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public")


def opened(offline, view, window=DAY, **options):
    return open_reader(view, window, Places(Path(), offline), **options)


def rows(offline, view=None, window=DAY):
    with opened(offline, view or a_view(), window) as reader:
        found = list(reader.batches())
        assert all(batch.schema == reader.schema for batch in found)
        return sorted((row for batch in found for row in batch.to_pylist()), key=repr)


def prices(offline, view=None, window=DAY):
    return {row["commodity"]: row["price"] for row in rows(offline, view, window)}


def test_the_newest_row_of_each_entity_in_the_window(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at timestamptz, price float8);
        INSERT INTO prices VALUES ('gold', '2026-01-01 02:00+01', 1), ('gold', '2026-01-01 02:00+00', 2),
            ('tin', '2026-01-02', 3), ('lead', '2026-01-02 00:00:00.000001+00', 4), ('lead', '2025-12-31 23:59+00', 5),
            (NULL, '2026-01-01 00:00+00', 6), ('zinc', NULL, 7), ('iron', '2026-01-01 00:00+00', NULL)"""
    )
    with opened(offline, a_view()) as reader:
        (batch,) = reader.batches()
    assert batch.schema.field(EVENT_TIME).type == pa.timestamp("us", tz="UTC")
    found = {row["commodity"]: (row["price"], row[EVENT_TIME]) for row in batch.to_pylist()}
    assert found == {
        "gold": (2.0, DAY.start + timedelta(hours=2)), "tin": (3.0, DAY.end), "iron": (None, DAY.start)
    }  # fmt: skip
    assert (reader.counts.read, reader.counts.latest) == (5, 3)
    assert (reader.counts.keyless, reader.counts.future, reader.counts.late) == (1, 1, 0)


def test_of_one_event_time_what_was_written_last_wins_and_nothing_before_anything(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at timestamp, written date, price float8);
        INSERT INTO prices VALUES ('gold', '2026-01-01', '2026-01-02', 1), ('gold', '2026-01-01', '2026-01-03', 2),
            ('gold', '2026-01-01', NULL, 3), ('tin', '2026-01-01', NULL, 4), ('tin', '2026-01-01', NULL, 5),
            ('lead', '2025-12-01', '2026-01-03', 6), ('iron', '2025-12-01', '2026-01-02', 6)"""
    )
    view = a_view(created_timestamp_column="written")
    assert prices(offline, view) == {"gold": 2.0, "tin": 5.0}
    with opened(offline, view, Window(DAY.start, DAY.end, DAY.end)) as reader:
        list(reader.batches())
        assert reader.counts.late == 1


A_ROW = st.tuples(
    st.sampled_from(["a", "B", None]), st.sampled_from([1, 2, None]), st.integers(-1, 25), st.integers(0, 2)
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(A_ROW, max_size=30))
def test_as_a_search_through_all_rows(offline, tables, written):
    tables.execute(
        "DROP TABLE IF EXISTS prices; CREATE TABLE prices (k text, n int, at timestamptz, c timestamp, p float8)"
    )
    numbered = [
        (key, number, DAY.start + timedelta(hours=hour), datetime(2026, 1, 1 + day), float(index))  # noqa: DTZ001
        for index, (key, number, hour, day) in enumerate(written)
    ]
    tables.cursor().executemany("INSERT INTO prices VALUES (%s, %s, %s, %s, %s)", numbered)
    latest = {}
    for row in sorted(
        (row for row in numbered if None not in row[:2] and DAY.start <= row[2] <= DAY.end), key=lambda row: row[2:]
    ):
        latest[row[:2]] = row[4]
    view = a_view(keys=(("k", "String"), ("n", "Int32")), features=(("p", "Float32"),), created_timestamp_column="c")
    assert {(row["k"], row["n"]): row["p"] for row in rows(offline, view)} == latest


def test_a_naive_time_is_utc_whatever_the_servers_zone(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at timestamp, price float8);
        INSERT INTO prices VALUES ('gold', '2026-01-01', 1), ('tin', '2026-01-02 00:00:00.000001', 1)"""
    )
    zoned = PostgresAddress({**offline.keywords, "options": "-c timezone=Asia/Tokyo"})
    (row,) = rows(zoned)
    assert (row["commodity"], row[EVENT_TIME]) == ("gold", DAY.start)


def test_a_date_is_its_midnight(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at date, price float8);
        INSERT INTO prices VALUES ('gold', '2026-01-01', 1), ('tin', '2026-01-02', 1), ('lead', '2026-01-03', 1)"""
    )
    assert [row[EVENT_TIME] for row in rows(offline)] == [DAY.start, DAY.end]


VALUES = [
    ("numeric", "1.10", "Float64", 1.1),
    ("numeric", "'NaN'", "Decimal", "NaN"),
    ("numeric(40,2)", "1.10", "Decimal", "1.10"),
    ("numeric", "1.10", "String", "1.10"),
    ("numeric[]", "'{1.5,NULL}'", "Array(Float32)", [1.5, None]),
    ("json", """'{"a": 1}'""", "Json", '{"a": 1}'),
    ("jsonb", """'{"a":1}'""", "Map", '{"a": 1}'),
    ("uuid", "'b8bd8e3c-59a0-4a8c-9a2e-6a1d3a5c0a11'", "Uuid", "b8bd8e3c-59a0-4a8c-9a2e-6a1d3a5c0a11"),
    ("uuid", "'b8bd8e3c-59a0-4a8c-9a2e-6a1d3a5c0a11'", "String", "b8bd8e3c-59a0-4a8c-9a2e-6a1d3a5c0a11"),
    ("mood", "'calm'", "String", "calm"),
    ("share", "0.5", "Float32", 0.5),
    ("varchar(9)", "'ü'", "String", "ü"),
    ("bpchar(3)", "'ab'", "String", "ab "),
    ("int2", "7", "Int32", 7),
    ("int8", "-9223372036854775808", "Int64", -(2**63)),
    ("float4", "'NaN'", "Float32", float("nan")),
    ("bool", "true", "Bool", True),
    ("bytea", r"'\x00ff'", "Bytes", b"\x00\xff"),
    ("text[]", "'{a,NULL}'", "Array(String)", ["a", None]),
    ("float8[]", "NULL", "Array(Float64)", None),
    ("timestamptz", "'2026-01-01 01:00+01'", "UnixTimestamp", DAY.start),
]


@pytest.mark.parametrize(("column", "literal", "kind", "value"), VALUES)
def test_a_value_arrives_as_its_feature_is_declared(offline, tables, column, literal, kind, value):
    tables.execute(
        f"""DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('calm'); CREATE DOMAIN share AS numeric;
        CREATE TABLE prices (commodity text, at timestamptz, price {column});
        INSERT INTO prices VALUES ('gold', '2026-01-01 00:00+00', {literal})"""
    )
    found = prices(offline, a_view(features=(("price", kind),)))["gold"]
    assert found == value or (found != found and value != value)  # noqa: PLR0124 - NaN is not itself


@pytest.mark.parametrize("name", ['a "b"', "select", "ü ñ", "x'; --", "%s {} $1", "a;b", "Upper"])
def test_tables_and_columns_may_have_any_name(offline, tables, name):
    table, key, price = (sql.Identifier(part) for part in (name, f"k{name}", f"p{name}"))
    tables.execute(
        sql.SQL("CREATE TABLE {} ({} text, {} float8, {} timestamptz)").format(table, key, price, sql.Identifier(name))
    )
    tables.execute(sql.SQL("INSERT INTO {} VALUES ('gold', 1, '2026-01-01 00:00+00')").format(table))
    view = a_view(name, keys=((f"k{name}", "String"),), features=((f"p{name}", "Float64"),), timestamp_field=name)
    assert rows(offline, view) == [{f"k{name}": "gold", f"p{name}": 1.0, EVENT_TIME: DAY.start}]


def test_a_table_in_a_schema_and_a_view_are_tables(offline, tables):
    tables.execute(
        """CREATE SCHEMA "my market"; CREATE TABLE "my market".prices AS
            SELECT 'gold' AS commodity, '2026-01-01 00:00+00'::timestamptz AS at, 1.5::float8 AS price;
        CREATE VIEW shown AS SELECT * FROM "my market".prices"""
    )
    try:
        assert prices(offline, a_view("my market.prices")) == prices(offline, a_view("shown")) == {"gold": 1.5}
    finally:
        tables.execute('DROP SCHEMA "my market" CASCADE')


def test_nulls_are_counted_over_the_latest_rows(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at timestamptz, price float8, n numeric);
        INSERT INTO prices VALUES ('gold', '2026-01-01 02:00+00', 'NaN', 'NaN'), ('gold', '2026-01-01 00:00+00', 2, 2),
            ('tin', '2026-01-01 01:00+00', 3, NULL), ('lead', '2026-01-01 00:00+00', NULL, 1)"""
    )
    with opened(offline, a_view(features=(("price", "Float64"), ("n", "Float64")))) as reader:
        found = reader.null_counts(["price", "n"])
        assert (found.rows, found.nulls) == (3, {"price": 2, "n": 2})
        assert reader.null_counts(["n"]).nulls == {"n": 2}
        assert sum(batch.num_rows for batch in reader.batches()) == 3


def test_counts_and_rows_are_of_one_state_of_the_table(offline, tables):
    tables.execute(
        """CREATE TABLE prices (commodity text, at timestamptz, price float8);
        INSERT INTO prices VALUES ('gold', '2026-01-01 02:00+00', 1)"""
    )
    with opened(offline, a_view()) as reader:
        before = reader.null_counts(["price"])
        tables.execute("INSERT INTO prices VALUES ('tin', '2026-01-01 02:00+00', NULL)")
        assert reader.null_counts(["price"]) == before
        assert [row["commodity"] for batch in reader.batches() for row in batch.to_pylist()] == ["gold"]


def test_many_rows_come_in_batches_of_the_size_asked_for(offline, tables):
    tables.execute(
        """CREATE TABLE prices AS
        SELECT 'c' || n AS commodity, '2026-01-01 00:00+00'::timestamptz AS at, n::float8 AS price
        FROM generate_series(1, 30000) AS n"""
    )
    with opened(offline, a_view(), batch_rows=7000) as reader:
        assert [batch.num_rows for batch in reader.batches()] == [7000, 7000, 7000, 7000, 2000]


def test_an_empty_table_gives_no_batch(offline, tables):
    tables.execute("CREATE TABLE prices (commodity text, at timestamptz, price float8)")
    assert rows(offline) == []


REFUSED = [
    (a_view("nowhere"), "there is no such table"),
    (a_view("no.where"), "there is no such"),
    (a_view(features=(("volume", "Float64"),)), "no column 'volume'; its columns are commodity, at, price, n"),
    (a_view(features=(("commodity", "Float64"),)), "'commodity' is string, which is no Float64"),
    (a_view(features=(("n", "Int64"),)), "'n' is numeric, which is no Int64"),
    (a_view(timestamp_field="price"), "'price' is double, not a timestamp"),
]


@pytest.mark.parametrize(("view", "message"), REFUSED)
def test_what_cannot_be_read_is_said_with_the_place(offline, tables, view, message):
    tables.execute("CREATE TABLE prices (commodity text, at timestamptz, price float8, n numeric)")
    with pytest.raises(SourceError) as caught, opened(offline, view) as reader:
        list(reader.batches())
    assert message in str(caught.value)
    assert str(offline) in str(caught.value)


def test_a_table_that_may_not_be_read_is_refused(offline, tables):
    tables.execute(
        """DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN;
        CREATE TABLE prices (commodity text, at timestamptz, price float8)"""
    )
    with pytest.raises(SourceError, match="grant it SELECT"):
        rows(PostgresAddress({**offline.keywords, "user": "stranger"}))


def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told(offline):
    secret = r"it's \a 'secret"
    for keywords in (
        {"host": "/nowhere", "password": secret},
        {**offline.keywords, "dbname": "none", "password": secret},
    ):
        with pytest.raises(StoreUnavailable) as caught, opened(PostgresAddress(keywords), a_view()):
            pass
        assert "secret" not in str(caught.value)


def test_a_server_that_goes_away_is_unavailable(offline, tables):
    tables.execute(
        """CREATE TABLE prices AS SELECT n AS commodity, '2026-01-01 00:00+00'::timestamptz AS at, n::float8 AS price
        FROM generate_series(1, 300000) AS n"""
    )
    with opened(offline, a_view(keys=(("commodity", "Int64"),))) as reader:
        batches = reader.batches()
        next(batches)
        tables.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'featureplane'")
        with pytest.raises(StoreUnavailable):
            list(batches)


@pytest.mark.parametrize("kind", ["float4", "float8"])
def test_nan_is_no_key(offline, tables, kind):
    tables.execute(
        f"""CREATE TABLE prices (id {kind}, at timestamptz, price float8);
        INSERT INTO prices VALUES ('NaN', '2026-01-01 00:00+00', 1), (NULL, '2026-01-01 00:00+00', 2),
            (7, '2026-01-01 00:00+00', 3)"""
    )
    with opened(offline, a_view(keys=(("id", "Int64"),))) as reader:
        assert [row["price"] for batch in reader.batches() for row in batch.to_pylist()] == [3.0]
        assert (reader.counts.read, reader.counts.keyless) == (3, 2)


def test_a_numeric_that_is_nan_is_no_key(offline, tables):
    tables.execute(
        """CREATE TABLE prices (id numeric, at timestamptz, price float8);
        INSERT INTO prices VALUES ('NaN', '2026-01-01 00:00+00', 1), (1.5, '2026-01-01 00:00+00', 2)"""
    )
    with opened(offline, a_view(keys=(("id", "Float64"),))) as reader:
        assert [row["id"] for batch in reader.batches() for row in batch.to_pylist()] == [1.5]
        assert reader.counts.keyless == 1


NAMES = ["key", "price", "at", "c"]


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(named=st.permutations(NAMES), written=st.lists(A_ROW, max_size=15))
def test_a_feature_may_be_named_like_any_column_of_the_table(offline, tables, named, written):
    tables.execute(
        "DROP TABLE IF EXISTS prices; CREATE TABLE prices (key text, at timestamptz, c timestamp, price float8)"
    )
    numbered = [
        (key, DAY.start + timedelta(hours=hour), datetime(2026, 1, 1 + day), float(index))  # noqa: DTZ001
        for index, (key, _, hour, day) in enumerate(written)
    ]
    tables.cursor().executemany("INSERT INTO prices VALUES (%s, %s, %s, %s)", numbered)
    latest = {}
    for row in sorted((row for row in numbered if row[0] and DAY.start <= row[1] <= DAY.end), key=lambda row: row[1:]):
        latest[row[0]] = row[3]
    key, price, *_ = named
    view = a_view(
        keys=((key, "String"),),
        features=((price, "Float64"),),
        created_timestamp_column="c",
        field_mapping={"key": key, "price": price},
    )
    assert {row[key]: row[price] for row in rows(offline, view)} == latest


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_times_of_one_second_are_one_key(offline, tables, kind):
    tables.execute(
        f"""CREATE TABLE prices (id {kind}, at timestamptz, price float8);
        INSERT INTO prices VALUES ('1969-12-31 23:59:58.9+00', '2026-01-01 02:00+00', 1),
            ('1969-12-31 23:59:58.1+00', '2026-01-01 01:00+00', 2),
            ('1969-12-31 23:59:59+00', '2026-01-01 00:00+00', 3)"""
    )
    assert sorted(row["price"] for row in rows(offline, a_view(keys=(("id", "UnixTimestamp"),)))) == [1.0, 3.0]


def test_wide_rows_come_in_batches_of_few(offline, tables):
    tables.execute(
        """CREATE TABLE prices AS SELECT 'c' || n AS commodity, '2026-01-01 00:00+00'::timestamptz AS at,
        repeat('x', 20000) AS price FROM generate_series(1, 1000) AS n"""
    )
    with opened(offline, a_view(features=(("price", "String"),))) as reader:
        sizes = [(batch.num_rows, batch.nbytes) for batch in reader.batches()]
    assert sum(rows for rows, _ in sizes) == 1000
    assert max(size for _, size in sizes) < 8_000_000


def test_a_cancelled_reader_ends_at_once_and_stays_so(offline, tables):
    tables.execute(
        """CREATE VIEW prices AS SELECT 'c' || n AS commodity, '2026-01-01 00:00+00'::timestamptz AS at,
        (SELECT 1.0::float8 FROM pg_sleep(0.01 + n * 0)) AS price FROM generate_series(1, 10000) AS n"""
    )
    with opened(offline, a_view()) as reader:
        cancelling = threading.Timer(0.3, reader.cancel)
        cancelling.start()
        started = time.monotonic()
        with pytest.raises(FeatureplaneError, match="cancelled") as caught:
            list(reader.batches())
        assert time.monotonic() - started < 60
        assert not isinstance(caught.value, (SourceError, StoreUnavailable))
        cancelling.join()
        with pytest.raises(FeatureplaneError, match="cancelled"):
            reader.null_counts(["price"])


def test_a_reader_that_is_cancelled_while_its_rows_stream_gives_no_more(offline, tables):
    tables.execute(
        """CREATE TABLE prices AS SELECT 'c' || n AS commodity, '2026-01-01 00:00+00'::timestamptz AS at,
        n::float8 AS price FROM generate_series(1, 300000) AS n"""
    )
    with opened(offline, a_view()) as reader:
        batches = reader.batches()
        next(batches)
        reader.cancel()
        with pytest.raises(FeatureplaneError, match="cancelled"):
            list(batches)
