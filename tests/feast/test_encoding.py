"""The bytes of our encoder are those that Feast writes for the same rows."""

# ruff: noqa: DTZ001, SLF001 - naive times are what sources have, and Feast has no public way to its own conversion

import math
import runpy
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import hiredis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from world import PROJECT, World

from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.materialization.encoding.encoded import Encoded
from featureplane.materialization.encoding.encoder import ViewEncoder
from featureplane.materialization.rows import EVENT_TIME, View, view_of
from featureplane.model.types import parse_type
from featureplane.registry.database import ensure_database
from featureplane.rendering.definitions import Definition
from featureplane.rendering.repo import feature_repo

Hashes = Mapping[bytes, Mapping[bytes, bytes]]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
# Feast takes a column of nothing but empty bytes for nulls: see below.
blobs = st.binary(min_size=1, max_size=200)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=True, allow_infinity=True)
singles = st.floats(width=32, allow_nan=True, allow_infinity=True)
# A NaN loses its sign on Feast's way through lists of lists in pandas.
unsigned = singles.map(lambda number: math.nan if math.isnan(number) else number)
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return some(st.lists(values, max_size=6))


# Columns as sources have them for each type: how a source's Arrow type is written, and values. Whole numbers and times
# lack nulls where Feast would lose digits to pandas' doubles (see test_what_feast_loses).
COLUMNS: Mapping[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "String": [
        (pa.string(), some(texts)),
        (pa.large_string(), some(texts)),
        (pa.dictionary(pa.int8(), pa.string()), some(st.sampled_from(["a", "é", ""]))),
    ],
    "Bytes": [(pa.binary(), some(blobs)), (pa.binary(3), some(st.binary(min_size=3, max_size=3)))],
    "ImageBytes": [(pa.binary(), some(blobs))],
    "Bool": [(pa.bool_(), some(st.booleans()))],
    "Int32": [(pa.int32(), int32s), (pa.int64(), int32s), (pa.int16(), some(st.integers(-(2**15), 2**15 - 1)))],
    "Int64": [(pa.int64(), int64s), (pa.uint32(), st.integers(0, 2**32 - 1)), (pa.int32(), some(int32s))],
    "Float32": [(pa.float32(), some(singles)), (pa.float64(), some(doubles)), (pa.int64(), int64s)],
    "Float64": [(pa.float64(), some(doubles)), (pa.int64(), int64s)],
    "UnixTimestamp": [
        (pa.timestamp("us"), some(instants)),
        (pa.timestamp("ns", "UTC"), some(instants)),
        (pa.timestamp("ms", "Europe/Berlin"), some(instants)),
        (pa.date32(), st.dates(date(1900, 1, 1), date(2200, 1, 1))),
        (pa.int64(), st.integers(0, 2**40)),
    ],
    "Uuid": [(pa.string(), some(st.uuids().map(str)))],
    "Decimal": [
        (pa.string(), some(st.decimals(allow_nan=False, allow_infinity=False).map(str))),
    ],
    "Array(String)": [(pa.list_(pa.string()), lists(some(texts)))],
    "Array(Bytes)": [(pa.list_(pa.binary()), lists(some(blobs)))],
    "Array(Bool)": [(pa.list_(pa.bool_()), lists(some(st.booleans())))],
    "Array(Int32)": [(pa.list_(pa.int32()), lists(int32s)), (pa.list_(pa.int64()), lists(int32s))],
    "Array(Int64)": [(pa.list_(pa.int64()), lists(int64s)), (pa.large_list(pa.int64()), lists(int64s))],
    "Array(Float32)": [
        (pa.list_(pa.float32()), lists(some(singles))),
        (pa.list_(pa.float32(), 4), some(st.lists(singles, min_size=4, max_size=4))),
        (pa.list_(pa.float64()), lists(doubles)),
    ],
    "Array(Float64)": [(pa.list_(pa.float64()), lists(some(doubles)))],
    "Array(UnixTimestamp)": [(pa.list_(pa.timestamp("us")), lists(some(instants)))],
    "Array(Uuid)": [(pa.list_(pa.string()), lists(st.uuids().map(str)))],
    "Json": [(pa.string(), some(st.sampled_from(['{"a": 1}', "[]", '"é"'])))],
    "Struct({a: Int64, b: String})": [
        (pa.struct([("a", pa.int64()), ("b", pa.string())]), some(st.fixed_dictionaries({"a": int64s, "b": texts}))),
    ],
    "Array(Array(Float64))": [
        (pa.list_(pa.list_(pa.float64())), some(st.lists(st.lists(unsigned, min_size=1, max_size=3), max_size=3))),
    ],
    "Set(Int64)": [(pa.list_(pa.int64()), some(st.lists(int64s, max_size=4)))],
}
KEYS: Mapping[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "String": (pa.string(), texts),
    "Bytes": (pa.binary(), blobs),
    "Int32": (pa.int32(), int32s),
    "Int64": (pa.int64(), int64s),
    # A key has whole seconds; a reader hands over one row for each. A fold is part of what `repr` tells apart.
    "UnixTimestamp": (pa.timestamp("us"), instants.map(lambda time: time.replace(microsecond=0, fold=0))),
}
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> tuple[View, pa.Table]:
    """A view, and rows of it as a reader hands them over; no two of one entity."""
    rows = draw(st.integers(1, 12))
    taken = draw(st.lists(names, min_size=4, max_size=9, unique=True))
    count = draw(st.integers(1, 3))
    keys = {name: draw(st.sampled_from(sorted(KEYS))) for name in taken[:count]}
    features = {name: draw(st.sampled_from(sorted(COLUMNS))) for name in taken[count:]}
    entities = draw(st.lists(st.tuples(*(KEYS[kind][1] for kind in keys.values())), min_size=rows, max_size=rows,
                             unique_by=repr))  # fmt: skip
    columns = {
        name: pa.array([entity[index] for entity in entities], KEYS[kind][0])
        for index, (name, kind) in enumerate(keys.items())
    }
    for name, kind in features.items():
        source, values = draw(st.sampled_from(COLUMNS[kind]))
        columns[name] = column(draw(st.lists(values, min_size=rows, max_size=rows)), source)
    times = draw(st.lists(st.datetimes(datetime(1970, 1, 1, 0, 0, 1), datetime(2100, 1, 1)), min_size=rows,
                          max_size=rows))  # fmt: skip
    columns[EVENT_TIME] = pa.array(times, pa.timestamp("us", "UTC"))
    return a_view(keys, features), pa.table(columns)


def column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if pa.types.is_timestamp(kind) and kind.unit == "ms":
        return pa.array(values, pa.timestamp("us", kind.tz)).cast(kind, safe=False)
    if kind == pa.float32():
        return pa.array(values, kind, from_pandas=False)
    return pa.array(values, kind)


def a_view(keys: Mapping[str, str], features: Mapping[str, str], name: str = "a view é") -> View:
    entities = [{"name": key, "join_key": key, "type": kind} for key, kind in keys.items()]
    free = {"description": "", "owner": "", "tags": {}}
    source = {"type": "file", "name": "s", "path": "p.parquet", "format": "parquet", "timestamp_field": EVENT_TIME,
              "created_timestamp_column": "", "field_mapping": {}, **free}  # fmt: skip
    spec = {
        "name": name, "entities": entities, "ttl_seconds": 0, "online": True, "source": "s", "push_source": None,
        "features": [{"name": each, "type": kind, "description": "", "tags": {}} for each, kind in features.items()],
        **free,
    }  # fmt: skip
    definition = Definition("feature_view", name, spec)
    return view_of(PROJECT, definition, {("data_source", "s"): Definition("data_source", "s", source)})


def encoded(view: View, table: pa.Table) -> Encoded:
    batch = table.combine_chunks().to_batches()[0]
    columns = {}
    for name, kind in (*view.keys, *view.features):
        found = conform(batch.column(name), parse_type(kind))
        assert found.wrong is None
        columns[name] = found.column
    return ViewEncoder(view).whole(columns, batch.column(EVENT_TIME).cast(pa.int64()).to_numpy())


def ours(view: View, table: pa.Table) -> Hashes:
    """What the writer would send, taken apart again."""
    made = encoded(view, table)
    (part,) = made.parts
    found = {}
    for key, body in zip(made.keys.to_pylist(), part.body.to_pylist(), strict=True):
        reader = hiredis.Reader()
        reader.feed(b"*%d\r\n" % part.arguments + body)
        words = reader.gets()
        assert reader.gets() is False
        found[key] = dict(zip(words[::2], words[1::2], strict=True))
    return found


class Feast:
    """Feast's engine (it goes through pandas) and its store, on a real Redis."""

    def __init__(self, world: World) -> None:
        from feast.infra.compute_engines.backends.pandas_backend import PandasBackend

        self._redis = world.redis
        self._sdk = world.sdk(online=True)
        self._backend = PandasBackend()
        self._loader = runpy.run_path(str(feature_repo() / "featureplane_loader.py"))

    def writes(self, view: View, table: pa.Table) -> Hashes:
        from feast.utils import _convert_arrow_to_proto

        through = self._backend.to_arrow(self._backend.from_arrow(table))
        feature_view = self._view(view)
        keys = {each.name: each.dtype.to_value_type() for each in feature_view.entity_columns}
        rows = _convert_arrow_to_proto(through, feature_view, keys)
        self._redis.flushdb()
        self._sdk._get_provider().online_store.online_write_batch(self._sdk.config, feature_view, rows, None)
        return {key: self._redis.hgetall(key) for key in self._redis.scan_iter()}

    def _view(self, view: View) -> Any:
        from feast import Entity, FeatureView, Field, FileSource

        def field(name: str, kind: str) -> Any:
            return Field(name=name, dtype=self._loader["feast_type"](kind))

        keys = [field(*key) for key in view.keys]
        return FeatureView(
            name=view.name,
            entities=[
                Entity(name=f"entity_{index}", join_keys=[key.name], value_type=key.dtype.to_value_type())
                for index, key in enumerate(keys)
            ],
            schema=[*keys, *(field(*feature) for feature in view.features)],
            source=FileSource(path="p.parquet", timestamp_field=EVENT_TIME),
            ttl=timedelta(0),
        )


@pytest.fixture
def feast(world: World, monkeypatch: pytest.MonkeyPatch) -> Feast:
    for name, value in world.stores.environment().items():
        monkeypatch.setenv(name, value)
    ensure_database(world.stores.postgres)
    return Feast(world)


# What fails is made smaller, which takes its time: a process that is stopped in it says nothing.
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain})
@given(tables())
def test_a_row_is_written_as_feast_writes_it(feast: Feast, drawn: tuple[View, pa.Table]) -> None:
    view, table = drawn
    assert ours(view, table) == feast.writes(view, table)


def one(kind: str, values: list[Any], source: pa.DataType) -> bytes:
    """How the last of the values is written."""
    view = a_view({"id": "Int64"}, {"f": kind}, "v")
    rows = pa.table({
        "id": pa.array(range(len(values)), pa.int64()),
        "f": pa.array(values, source),
        EVENT_TIME: pa.array([datetime(2026, 1, 1)] * len(values), pa.timestamp("us", "UTC")),
    })  # fmt: skip
    fields = list(ours(view, rows).values())[-1]
    return next(value for name, value in fields.items() if not name.startswith(b"_ts:"))


# What Feast loses on its way through pandas, or writes according to what else is in the batch; ours are right.
def test_a_large_whole_number_beside_a_null_keeps_its_digits(feast: Feast) -> None:
    assert one("Int64", [None, 2**60 + 1], pa.int64()) == b"\x20\x81\x80\x80\x80\x80\x80\x80\x80\x10"


def test_an_empty_byte_string_among_none_but_empty_ones_is_no_null(feast: Feast) -> None:
    assert one("Bytes", [b""], pa.binary()) == b"\x0a\x00"


def test_a_missing_date_among_none_but_missing_ones_is_a_missing_time(feast: Feast) -> None:
    assert one("UnixTimestamp", [None], pa.date32()) == one("UnixTimestamp", [date(2026, 1, 1), None], pa.date32())


def test_times_of_nanoseconds_in_an_array_are_seconds_as_all_others(feast: Feast) -> None:
    day = [[datetime(2026, 1, 2)]]
    ours_ = [one("Array(UnixTimestamp)", day, pa.list_(pa.timestamp(unit))) for unit in ("ns", "us")]
    assert ours_[0] == ours_[1]


def test_a_single_column_fits_a_double_feature(feast: Feast) -> None:
    assert one("Float64", [1.5], pa.float32()) == one("Float64", [1.5], pa.float64())


def test_a_decimal_is_written_with_its_digits(feast: Feast) -> None:
    numbers = [Decimal("1.50"), Decimal("0.0000001"), Decimal("-12345.6789000"), None]
    for number in numbers:
        columns = [number.quantize(Decimal(1).scaleb(-7)) if number is not None else None]
        view = a_view({"id": "Int64"}, {"f": "Decimal"}, "v")
        rows = pa.table({
            "id": pa.array([1], pa.int64()), "f": pa.array(columns, pa.decimal128(20, 7)),
            EVENT_TIME: pa.array([datetime(2026, 1, 1)], pa.timestamp("us", "UTC")),
        })  # fmt: skip
        assert ours(view, rows) == feast.writes(view, rows)


def test_maps_and_zoned_times_keep_what_they_say(feast: Feast) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    found = Value.FromString(one("Map", [[("é", 1.5), ("b", None)]], pa.map_(pa.string(), pa.float64())))
    assert {name: value.double_val for name, value in found.map_val.val.items()} == {"é": 1.5, "b": 0.0}
    zoned = one("ZonedTimestamp", [datetime(2026, 1, 2)], pa.timestamp("us", "Europe/Berlin"))
    assert Value.FromString(zoned).zoned_timestamp_val.zone == "Europe/Berlin"


def test_a_slice_of_a_larger_batch_is_encoded_from_where_it_begins(feast: Feast) -> None:
    view = a_view({"id": "String"}, {"s": "String", "a": "Array(Float32)", "t": "Array(String)"}, "v")
    rows = pa.table({
        "id": [f"entity {index}" for index in range(9)],
        "s": [None if index % 3 else "é" * index for index in range(9)],
        "a": pa.array([[1.0] * index for index in range(9)], pa.list_(pa.float32())),
        "t": [["x"] * (9 - index) for index in range(9)],
        EVENT_TIME: pa.array([datetime(2026, 1, 1)] * 9, pa.timestamp("us", "UTC")),
    })  # fmt: skip
    assert ours(view, rows.slice(4, 3)) == dict(list(ours(view, rows).items())[4:7])


def conformed(values: list[Any], source: pa.DataType, kind: str) -> tuple[list[Any], list[bool], str]:
    found = conform(pa.array(values, source), parse_type(kind))
    wrong = [False] * len(values) if found.wrong is None else found.wrong.tolist()
    return found.column.to_pylist(), wrong, found.why


def test_a_number_that_does_not_fit_is_named_and_not_bent() -> None:
    assert conformed([1, 2**31, None], pa.int64(), "Int32") == (
        [1, None, None], [False, True, False], "is not from -2147483648 to 2147483647",
    )  # fmt: skip
    assert conformed([1, 2**63], pa.uint64(), "Int64")[1] == [False, True]


def test_whole_numbers_that_pandas_made_doubles_are_whole_again() -> None:
    values, wrong, why = conformed([1.0, float("nan"), 1.5, 2.0**63, float("inf"), None], pa.float64(), "Int64")
    assert values == [1, None, None, None, None, None]
    assert wrong == [False, False, True, True, True, False]
    assert why == f"is no whole number from {-(2**63)} to {2**63 - 1}"


def test_a_null_among_an_array_of_whole_numbers_is_named() -> None:
    assert conformed([[1], [2, None], None, []], pa.list_(pa.int64()), "Array(Int64)")[1:] == (
        [False, True, False, False], "has a null among its numbers",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (pa.string(), "Float64"), (pa.string(), "Int64"), (pa.float64(), "String"), (pa.float64(), "Bool"),
        (pa.string(), "UnixTimestamp"), (pa.string(), "Bytes"), (pa.binary(), "String"), (pa.int64(), "Array(Int64)"),
        (pa.list_(pa.string()), "Array(Int64)"), (pa.timestamp("us"), "Int64"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_refused(source: pa.DataType, kind: str) -> None:
    with pytest.raises(WrongType, match="is no "):
        conform(pa.nulls(1, source), parse_type(kind))


def test_every_type_of_column_may_be_all_nulls() -> None:
    for kind in COLUMNS:
        assert conform(pa.nulls(2), parse_type(kind)).column.null_count == 2
