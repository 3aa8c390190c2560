"""Training data by Feast's SDK on our offline stores, compared with looking at every row for every moment."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from world import World

from factories import Object, a_feature, a_feature_view, a_postgres_source, a_project, a_service, a_source, an_entity
from featureplane.errors import SourceError
from featureplane.serving.remote import remote
from point_in_time import Row, as_known

MINUTE = timedelta(minutes=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
TTL = 10 * MINUTE
ENTITIES = [an_entity("commodity", type="String"), an_entity("region", type="Int64")]
FEATURES = [a_feature("price", "Float64"), a_feature("volume", "Int64"), a_feature("tags", "Array(String)")]
NAMES = ["price", "volume", "tags"]
TABLE = "public.trades"
# A version of a Delta table takes long to write.
EXAMPLES = {"file": 10, "delta": 3, "postgres": 10}

# Few values, so that most rows meet: "1" and 11 beside "11" and 1 would be one text.
commodities = st.sampled_from(["1", "11", "gold", "ü"])
regions = st.sampled_from([1, 11, -(2**53) - 1])
moments = st.integers(0, 15).map(lambda minutes: START + minutes * MINUTE)
precise = st.sampled_from([timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1)])
rows = st.fixed_dictionaries(
    {
        "commodity": st.none() | commodities,
        "region": st.none() | regions,
        "at": st.builds(lambda at, more: at + more, moments, precise),
        "created": st.none() | moments,
        "price": st.none() | st.sampled_from([0.5, -1.0, 1e300]),
        "volume": st.none() | st.sampled_from([0, 2**53 + 1]),
        "tags": st.none() | st.sampled_from([[], ["a", "ü"]]),
    }
)
# A Delta table has no nanoseconds, and cannot change the type of a column.
units = st.sampled_from(["us", "ns"])
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
entity_rows = st.fixed_dictionaries(
    {
        "commodity": st.none() | commodities,
        "region": regions,
        "event_timestamp": st.builds(lambda at, more: at + more, moments, precise),
        "label": st.integers(0, 3),
    }
)


def source_of(kind: str, **changes: Any) -> Object:
    fields = {"timestampField": "ts", "fieldMapping": {"px": "price"}, **changes}
    if kind == "postgres":
        return a_postgres_source(TABLE, **fields)
    return a_source(
        file={"path": "trades", "format": "delta"} if kind == "delta" else {"path": "trades.parquet"}, **fields
    )


def objects_of(kind: str, world: World) -> list[Object]:
    """Views of one source: with and without a ttl, with both join keys and with one of them, with `created` or not."""
    root = {"dataRoot": {"uri": str(world.folder)}} if kind != "postgres" else {}
    created = {"createdTimestampColumn": "created"}
    return [
        a_project(offlineStore={"type": "postgres" if kind == "postgres" else "file", **root}),
        a_feature_view("by-both", entities=ENTITIES, features=FEATURES, ttl="10m", source=source_of(kind, **created)),
        a_feature_view("by-region", entities=ENTITIES[1:], features=FEATURES, source=source_of(kind, **created)),
        a_feature_view("uncreated", entities=ENTITIES[:1], features=FEATURES[:1], ttl="10m", source=source_of(kind)),
        a_service("both", views=[{"name": "by_both"}, {"name": "by_region", "features": ["volume"]}]),
    ]


def write(kind: str, world: World, history: Sequence[Row], *, naive: bool, unit: str) -> None:
    if kind == "postgres":
        _write_table(world, history, naive=naive)
        return
    time = pa.timestamp("us", "UTC") if kind == "delta" else pa.timestamp(unit, None if naive else "UTC")
    columns = {
        "commodity": pa.array([row["commodity"] for row in history], pa.string()),
        "region": pa.array([row["region"] for row in history], pa.int64()),
        "ts": _times([row["at"] for row in history], time),
        "created": _times([row["created"] for row in history], time),
        "px": pa.array([row["price"] for row in history], pa.float64()),
        "volume": pa.array([row["volume"] for row in history], pa.int64()),
        "tags": pa.array([row["tags"] for row in history], pa.list_(pa.string())),
    }
    if kind == "delta":
        write_deltalake(world.folder / "trades", pa.table(columns), mode="overwrite")
    else:
        parquet.write_table(pa.table(columns), world.folder / "trades.parquet")


def _times(values: Sequence[datetime | None], kind: pa.DataType) -> pa.Array:
    return pa.array([value and value.replace(tzinfo=None) for value in values], pa.timestamp("us")).cast(kind)


def _write_table(world: World, history: Sequence[Row], *, naive: bool) -> None:
    time = "timestamp" if naive else "timestamptz"
    with world.sql() as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        connection.execute(
            f"CREATE TABLE {TABLE} (commodity text, region int8, ts {time}, created {time}, px float8, volume int8, "
            "tags text[])"
        )
        times = (lambda value: value and value.replace(tzinfo=None)) if naive else (lambda value: value)
        values = [
            (row["commodity"], row["region"], times(row["at"]), times(row["created"]), *(row[name] for name in NAMES))
            for row in history
        ]  # fmt: skip
        connection.cursor().executemany(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s, %s, %s)", values)


def in_order(kind: str, history: Sequence[Row]) -> Sequence[Row]:
    """A table has no order: of rows with the same times the greatest counts."""
    if kind != "postgres":
        return history

    def weight(row: Row) -> Any:
        return [(row[name] is not None, row[name]) if row[name] is not None else (False,)
                for name in ("commodity", "region", *NAMES)]  # fmt: skip

    return sorted(history, key=weight)


GOLD = {"commodity": "gold", "region": 1}
MOMENT = START + 12 * MINUTE
HISTORY = [
    {**GOLD, "at": START + 2 * MINUTE, "created": START, "price": 1.0, "volume": 1, "tags": ["a"]},
    {**GOLD, "at": START + 11 * MINUTE, "created": START, "price": 2.0, "volume": None, "tags": []},
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_service_and_single_features_give_the_same(kind, world, on_source):
    store = on_source(kind)
    write(kind, world, HISTORY, naive=False, unit="us")
    frame = pd.DataFrame(
        {"region": [1, 2], "commodity": ["gold"] * 2, "event_timestamp": [MOMENT] * 2, "label": ["x", "y"]}
    )
    service = store.get_historical_features(frame, store.get_feature_service("both"), full_feature_names=True)
    single = [f"by_both:{name}" for name in NAMES] + ["by_region:volume"]
    found = service.to_df()
    assert store.get_historical_features(frame, single, full_feature_names=True).to_df().equals(found)
    assert list(found) == [*frame, *(name.replace(":", "__") for name in single)]
    assert found["label"].tolist() == ["x", "y"]
    assert found["by_both__price"].tolist()[0] == 2.0
    assert found["by_both__price"].isna().tolist() == [False, True]


@pytest.mark.parametrize("naive", [True, False])
def test_times_of_nanoseconds_as_pandas_writes_them_count_by_their_microsecond(naive, world, on_source):
    store = on_source("file")
    row = {**GOLD, "at": START, "created": None, "volume": 1, "tags": None}
    write("file", world, [{**row, "price": 1.0}, {**row, "price": 2.0}], naive=naive, unit="ns")
    file = world.folder / "trades.parquet"
    table = parquet.read_table(file)
    times = table.column("ts")
    finer = pc.add(times.cast(pa.int64()), pa.array([0, 999])).cast(times.type)
    parquet.write_table(table.set_column(table.schema.get_field_index("ts"), "ts", finer), file)
    before = START - timedelta(microseconds=1)
    frame = pd.DataFrame({"region": [1, 1], "commodity": ["gold"] * 2, "event_timestamp": [before, START]})
    found = store.get_historical_features(frame, ["by_both:price"]).to_df()
    assert found["price"].fillna(0.0).tolist() == [0.0, 2.0]


def test_rows_of_other_entities_stay_in_their_table(world, on_source):
    store = on_source("postgres")
    write("postgres", world, [HISTORY[0], {**HISTORY[0], "commodity": "silver", "price": 0.0}], naive=False, unit="us")
    frame = pd.DataFrame({"region": [1], "commodity": ["gold"], "event_timestamp": [MOMENT]})
    with looked_at(world):
        found = store.get_historical_features(frame, ["by_both:price"]).to_df()
        assert found["price"].tolist() == [1.0]
        with pytest.raises(SourceError, match="division by zero"):
            store.get_historical_features(frame.assign(commodity="silver"), ["by_both:price"]).to_df()


@contextmanager
def looked_at(world: World) -> Iterator[None]:
    """The table is a view, for which a price of 0 is an error where its row is read."""
    with world.sql() as connection:
        connection.execute(f"ALTER TABLE {TABLE} RENAME TO held")
        columns = "commodity, region, ts, created, 1 / px AS px, volume, tags"
        connection.execute(f"CREATE VIEW {TABLE} AS SELECT {columns} FROM held")
    try:
        yield
    finally:
        with world.sql() as connection:
            connection.execute("DROP TABLE held CASCADE")


def test_what_was_found_can_be_kept_in_feasts_way(world, on_source):
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    store = on_source("file")
    write("file", world, HISTORY, naive=False, unit="us")
    frame = pd.DataFrame({"region": [1], "commodity": ["gold"], "event_timestamp": [MOMENT]})
    job = store.get_historical_features(frame, ["by_both:price"])
    job.persist(SavedDatasetFileStorage(path=str(world.folder / "kept.parquet")))
    assert parquet.read_table(world.folder / "kept.parquet").column("price").to_pylist() == [2.0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_a_notebook_gets_the_same_from_the_offline_server(kind, world, on_source):
    from feast import FeatureStore, RepoConfig

    store = on_source(kind)
    write(kind, world, HISTORY, naive=False, unit="us")
    frame = pd.DataFrame({"region": [1, 2], "commodity": ["gold"] * 2, "event_timestamp": [MOMENT] * 2})
    with remote("offline", world.declarations(*objects_of(kind, world)).project, world.stores, world.folder) as server:
        host, _, port = server.address.rpartition(":")
        config = store.config.model_dump(by_alias=True)
        changes = {"offline_store": {"type": "remote", "host": host, "port": int(port)}, "online_store": None}
        registry = {**config["registry"], "registry_type": "sql"}
        notebook = FeatureStore(config=RepoConfig(project="feast", provider="local", registry=registry,
                                                  entity_key_serialization_version=3, **changes))  # fmt: skip
        service = notebook.get_feature_service("both")
        found = notebook.get_historical_features(frame, service, full_feature_names=True).to_df()
        expected = store.get_historical_features(frame, service, full_feature_names=True).to_df()
    assert found["by_both__price"].tolist()[0] == 2.0
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("region", ["north"], "'region' is no Int64"),
        ("event_timestamp", [None], "has no time in 1 of its rows"),
        ("commodity", None, "has no column 'commodity', a join key of by_both"),
    ],
)
def test_a_frame_that_cannot_be_joined_is_refused(column, values, why, world, on_source):
    store = on_source("file")
    frame = pd.DataFrame({"region": [1], "commodity": ["gold"], "event_timestamp": [MOMENT]})
    frame = frame.drop(columns=column) if values is None else frame.assign(**{column: values})
    with pytest.raises(ValueError, match=why):
        store.get_historical_features(frame, ["by_both:price"]).to_df()


@pytest.fixture
def on_source(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    def make(kind: str) -> Any:
        for name, value in world.stores.postgres.environment().items():
            monkeypatch.setenv(name, value)
        objects = objects_of(kind, world)
        write(kind, world, [], naive=False, unit="us")
        world.apply(*objects)
        return world.sdk(*objects)

    return make


DROPPED = [{**GOLD, "at": START + 9 * MINUTE, "created": None, "price": 1.0, "volume": 1, "tags": None}]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_row_is_as_it_was_known_at_its_moment(kind, world, on_source):
    store = on_source(kind)
    references = [f"{view}:{name}" for view in ("by_both", "by_region") for name in NAMES] + ["uncreated:price"]
    views = {"by_both": (["commodity", "region"], TTL), "by_region": (["region"], timedelta(0)),
             "uncreated": (["commodity"], TTL)}  # fmt: skip

    @settings(max_examples=EXAMPLES[kind], derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(rows, max_size=12), st.lists(entity_rows, min_size=1, max_size=6), st.booleans(), zones, units)
    @example(DROPPED, [{"commodity": "gold", "region": 1, "event_timestamp": START, "label": 1}] * 2, False, UTC, "ns")
    def holds(history, entities, naive, zone, unit):
        write(kind, world, history, naive=naive, unit=unit)
        frame = pd.DataFrame(entities)
        frame["event_timestamp"] = [row["event_timestamp"].astimezone(zone) for row in entities]
        found = store.get_historical_features(frame, references, full_feature_names=True).to_arrow().to_pylist()
        assert len(found) == len(entities)
        for row, entity in zip(found, entities, strict=True):
            assert {name: row[name] for name in ("commodity", "region", "label")} == {
                name: entity[name] for name in ("commodity", "region", "label")
            }
            for view, (keys, ttl) in views.items():
                known = in_order(kind, history)
                if view == "uncreated":
                    known = [{**each, "created": None} for each in known]
                names = ["price"] if view == "uncreated" else NAMES
                expected = as_known(known, entity, keys, names, ttl)
                assert {name: row[f"{view}__{name}"] for name in names} == expected, (view, entity)

    holds()
