"""Values that are pushed: the bytes are Feast's, and what is taken is what a run takes from a column of the same."""

import base64
import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featureplane.materialization.checks import Checks, Rejected
from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.model.types import parse_type
from featureplane.registry.protos import Value
from featureplane.serving.writing.checks import checks_of, takes_nulls
from featureplane.serving.writing.encoding import encoder_for
from featureplane.serving.writing.misfits import Misfit
from featureplane.serving.writing.moments import micros
from featureplane.serving.writing.patterns import matcher
from featureplane.serving.writing.plain import plain_for

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False, allow_infinity=False)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
# Feast takes nothing but empty bytes for nulls.
blobs = st.binary(min_size=1, max_size=60)
words = st.text("abcdé ", max_size=8)


def lists(values: st.SearchStrategy[Any], **options: Any) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=5, **options)


# Values as JSON has them.
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "String": texts,
    "Bool": st.booleans(),
    "Int32": int32s,
    "Int64": int64s,
    "Float32": singles,
    "Float64": doubles,
    "UnixTimestamp": st.integers(-(2**40), 2**40),
    "Json": st.sampled_from(['{"a": [1, null]}', "[]", '"é"', {"a": 1, "é": [None, "x"]}, [1, 2.5], 3, True]),
    "Uuid": st.uuids().map(str),
    "TimeUuid": st.uuids().map(str),
    "Decimal": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "Map": st.dictionaries(
        words, st.none() | texts | int64s | doubles | st.booleans() | lists(int64s, min_size=1), max_size=4
    ),
    "Struct({a: Int64, b: String, c: Array(Float64)})": st.fixed_dictionaries(
        {"a": int64s, "b": texts | st.none()}, optional={"c": lists(doubles, min_size=1)}
    ),
    "Array(String)": lists(texts | st.none()),
    "Array(Bool)": lists(st.booleans() | st.none()),
    "Array(Int32)": lists(int32s),
    "Array(Int64)": lists(int64s),
    "Array(Float32)": lists(singles),
    "Array(Float64)": lists(doubles),
    "Array(Uuid)": lists(st.uuids().map(str)),
    "Array(Decimal)": lists(st.sampled_from(["1.10", "-3"])),
    "Array(Json)": lists(st.sampled_from(['{"a": 1}', {"b": [1]}])),
    "Array(Map)": lists(st.dictionaries(words, int64s, max_size=2)),
    "Array(Struct({a: Int64}))": lists(st.fixed_dictionaries({"a": int64s})),
    "Array(Array(Float64))": lists(lists(doubles)),
    "Array(Array(String))": lists(lists(texts)),
    "Set(Int64)": lists(int64s),
    "Set(String)": lists(texts),
}


def sent(value: Any) -> Any:
    """As it is after its way to the server."""
    return orjson.loads(orjson.dumps(value))


def stored(kind: str, value: Any) -> bytes:
    found = parse_type(kind)
    return encoder_for(found)(plain_for(found)(sent(value)))


def feasts(kind: str, value: Any) -> bytes:
    from feast.type_map import python_values_to_proto_values
    from feast.value_type import ValueType

    (found,) = python_values_to_proto_values([value], ValueType[parse_type(kind).value_type])
    return bytes(found.SerializeToString())


@pytest.mark.parametrize("kind", GOOD)
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_bytes_are_those_that_feast_writes(kind: str, data: st.DataObject) -> None:
    value = data.draw(GOOD[kind])
    ours, theirs = stored(kind, value), feasts(kind, value)
    if kind.startswith("Set"):  # Feast's order of a set is none
        ours, theirs = (bytes(sorted(each)) for each in (ours, theirs))
    if "Map" in kind or "Struct" in kind:  # nor has protobuf's of a map
        assert Value.FromString(ours) == Value.FromString(theirs)
        return
    assert ours == theirs


@pytest.mark.parametrize("kind", ["Bytes", "PdfBytes", "ImageBytes", "Array(Bytes)", "Set(Bytes)"])
@given(st.lists(blobs, min_size=1, max_size=1))
def test_bytes_come_as_base64(kind: str, blob: list[bytes]) -> None:
    is_list = "(" in kind
    text = [base64.b64encode(each).decode() for each in blob]
    assert stored(kind, text if is_list else text[0]) == feasts(kind, blob if is_list else blob[0])


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.sampled_from([UTC])))  # noqa: DTZ001
def test_moments_come_as_text(moment: datetime) -> None:
    assert stored("UnixTimestamp", moment.isoformat()) == feasts("UnixTimestamp", moment)
    assert stored("Array(UnixTimestamp)", [moment.isoformat()]) == feasts("Array(UnixTimestamp)", [moment])
    assert stored("ZonedTimestamp", moment.isoformat()) == feasts("ZonedTimestamp", moment)


def test_an_offset_stays_with_its_moment() -> None:
    text = "2026-01-31T12:00:00.5-07:00"
    assert stored("ZonedTimestamp", text) == feasts("ZonedTimestamp", datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("Int64", "5", "is no whole number from -9223372036854775808 to 9223372036854775807"),
        ("Int64", 5.5, "is no whole number"),
        ("Int64", True, "is no whole number"),
        ("Int32", 2**31, "is no whole number from -2147483648 to 2147483647"),
        ("Float64", "1.5", "is no number"),
        ("Float32", 1e300, "is beyond what a Float32 holds"),
        ("Bool", 1, "is no Bool"),
        ("String", 1.5, "is no String"),
        ("String", ["a"], "is no String"),
        ("Bytes", "no base64!", "is not base64"),
        ("Bytes", "é", "is not base64"),
        ("UnixTimestamp", "yesterday", "is no time"),
        ("UnixTimestamp", 1.5, "is no whole number"),
        ("ZonedTimestamp", 5, "is no time with a zone"),
        ("Uuid", "6f8b", "is no UUID"),
        ("Decimal", "1,5", "is no Decimal"),
        ("Decimal", 1.5, "is no Decimal"),
        ("Decimal", "NaN", "is no Decimal"),
        ("Json", "{", "is a text that is not JSON"),
        ("Map", [1], "is no object"),
        ("Map", "[1]", "is no object"),
        ("Map", {"a": []}, "has [] as its a, which has no type"),
        ("Map", {"a": [1, "b"]}, "which has no type of Feast's"),
        ("ScalarMap", {"1": 2}, "is no ScalarMap, and JSON has none"),
        ("Array(Int64)", 5, "is no list"),
        ("Array(Int64)", [1, "a"], 'has the element "a", which is no whole number'),
        ("Array(Int64)", [1, None], "has a null among its elements"),
        ("Array(Array(Int64))", [[1], [None]], "has the element [null], which has a null among its elements"),
        ("Set(String)", [None], "has a null among its elements"),
        ("Struct({a: Int64})", {"a": "x"}, 'has "x" as its a, which is no whole number'),
        ("Struct({a: Int64})", {"b": 1}, 'has "b", which is no field'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(kind: str, value: Any, why: str) -> None:
    with pytest.raises(Misfit) as found:
        stored(kind, value)
    assert why in str(found.value)


def test_numbers_that_json_has_not_are_texts() -> None:
    assert plain_for(parse_type("Float64"))("NaN") is None
    assert stored("Float64", "-Infinity") == feasts("Float64", -math.inf)
    assert stored("Array(Float32)", ["NaN", 1.0, None]) == feasts("Array(Float32)", [math.nan, 1.0, math.nan])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31T12:00:00Z", 1769860800_000000), ("2026-01-31 13:00:00+01:00", 1769860800_000000),
        ("2026-01-31T12:00:00.123456789", 1769860800_123456), ("2026-01-31", 1769817600_000000),
        (1769860800, 1769860800_000000), (1769860800.5, 1769860800_500000), (-0.5, -500000), (0, 0),
        ("0001-01-01T00:00:00Z", -62135596800_000000),
    ],
)  # fmt: skip
def test_event_times_are_texts_or_seconds(value: Any, expected: int) -> None:
    assert micros(value) == expected


@pytest.mark.parametrize(
    "value", [None, "", "now", True, [], {}, 10**12, 1e300, -1e300, "0001-01-01T00:00:00+14:00", 1769860800123]
)
def test_what_is_no_event_time_is_said(value: Any) -> None:
    with pytest.raises(Misfit, match="is no time"):
        micros(value)


# What a run makes of columns of one type: how the Arrow type of the values is written.
COLUMNS: dict[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "String": [(pa.string(), texts), (pa.int64(), int64s), (pa.float64(), doubles), (pa.bool_(), st.booleans())],
    "Bool": [(pa.bool_(), st.booleans()), (pa.int64(), int64s), (pa.string(), texts)],
    "Int32": [
        (pa.int64(), int32s | int64s),
        (pa.float64(), st.floats(allow_nan=False, allow_infinity=False) | int32s.map(float)),
        (pa.string(), texts),
        (pa.bool_(), st.booleans()),
    ],
    "Int64": [(pa.int64(), int64s), (pa.float64(), doubles | int32s.map(float)), (pa.string(), texts)],
    "Float32": [(pa.float64(), singles), (pa.int64(), int32s), (pa.bool_(), st.booleans())],
    "Float64": [(pa.float64(), doubles), (pa.int64(), int64s), (pa.string(), texts)],
    "UnixTimestamp": [(pa.int64(), int64s), (pa.bool_(), st.booleans())],
    "Array(Int64)": [(pa.list_(pa.int64()), lists(int64s | st.none())), (pa.int64(), int64s)],
    "Array(Float32)": [
        (pa.list_(pa.float64()), lists(singles | st.none())),
        (pa.list_(pa.string()), lists(texts, min_size=1)),
    ],
    "Array(String)": [(pa.list_(pa.string()), lists(texts | st.none())), (pa.string(), texts)],
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=120, deadline=None)
@given(st.data())
def test_what_a_run_takes_is_taken_and_nothing_else(kind: str, data: st.DataObject) -> None:
    source, values = data.draw(st.sampled_from(COLUMNS[kind]))
    value = data.draw(values)
    try:
        found = conform(pa.array([value], source), parse_type(kind))
    except WrongType:
        is_taken = False
    else:
        is_taken = found.wrong is None or not found.wrong[0]
    try:
        plain_for(parse_type(kind))(sent(value))
    except Misfit:
        assert not is_taken
    else:
        assert is_taken


bounds = st.floats(-100, 100) | st.integers(-100, 100).map(float) | st.sampled_from([0.1, 0.3, 1e300, -1e300, 2.0**63])
within = {"minimum": bounds, "maximum": bounds}
patterns = [r"^\d+$", r"\w\b", r"[^\d]a", r"[\w.]+\s", r"\D\W", r"[\D]", "^a.b$", "é", r"[^\W0]", r"\\d", "a|^$"]
CHECKED: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], st.SearchStrategy[dict[str, Any]]]] = {
    "Int32": (pa.int32(), st.integers(-101, 101), st.fixed_dictionaries({}, optional=within)),
    "Int64": (
        pa.int64(),
        st.integers(-101, 101) | int64s,
        st.fixed_dictionaries({}, optional={**within, "in": lists(st.integers(-3, 3), min_size=1)}),
    ),
    "Float32": (
        pa.float32(),
        st.floats(-101, 101, width=32) | st.sampled_from([0.1, 0.3]),
        st.fixed_dictionaries({}, optional={"minimum": bounds, "in": st.just([0.1, 0.3, 5])}),
    ),
    "Float64": (
        pa.float64(),
        st.floats(-101, 101) | st.sampled_from([0.1, 0.3]),
        st.fixed_dictionaries({}, optional={"maximum": bounds, "in": st.just([0.1, 0.3, 5])}),
    ),
    "Bool": (pa.bool_(), st.booleans(), st.just({"in": [True]})),
    "String": (
        pa.string(),
        st.text("ab01_ \té½٣", max_size=6),
        st.fixed_dictionaries({}, optional={"in": st.just(["a", "b0"]), "pattern": st.sampled_from(patterns)}),
    ),
    "Array(Float32)": (
        pa.list_(pa.float32()),
        st.lists(st.floats(width=32, allow_nan=False), max_size=4),
        st.fixed_dictionaries({}, optional={"length": st.integers(1, 4)}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKED)
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_checks_find_what_those_of_a_run_find(kind: str, data: st.DataObject) -> None:
    source, values, specs = CHECKED[kind]
    spec = data.draw(specs) | data.draw(st.sampled_from([{}, {"notNull": True}]))
    value = data.draw(values | st.none())
    column = {"f": conform(pa.array([value], source), parse_type(kind))}
    passing = Checks({"f": spec}).passing(column, Rejected())
    plain = None if value is None else plain_for(parse_type(kind))(sent(value))
    fails = (
        not takes_nulls(spec) if plain is None else any(check(plain) for check, _ in checks_of(spec, parse_type(kind)))
    )
    assert fails == (passing is not None and not passing[0])


def test_a_share_of_nulls_is_not_asked_of_a_request_unless_it_is_none() -> None:
    assert takes_nulls({"maxNullFraction": 0.1})
    assert not takes_nulls({"maxNullFraction": 0.0})


def test_what_is_no_pattern_is_said() -> None:
    with pytest.raises(ValueError, match="no regular expression"):
        matcher("(")
