"""Whether two serialized values are the same: over types, and for each way in which bytes of one value may differ."""

import math
import struct

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featureplane.materialization.encoding.conforming import conform
from featureplane.materialization.encoding.encoder import serialized
from featureplane.materialization.encoding.ragged import join
from featureplane.model.types import parse_type
from featureplane.parity.values import UNREADABLE, distance, is_same, shown
from featureplane.registry.protos import Value

SECONDS = st.integers(-(2**40), 2**40)
# Values of each type, and the Arrow type of a source's column with them.
SCALARS = {
    "String": (st.text(st.characters(codec="utf-8")), pa.string()),
    "Bytes": (st.binary(), pa.binary()),
    "Bool": (st.booleans(), pa.bool_()),
    "Int32": (st.integers(-(2**31), 2**31 - 1), pa.int32()),
    "Int64": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "Float32": (st.floats(width=32, allow_nan=False), pa.float32()),
    "Float64": (st.floats(allow_nan=False), pa.float64()),
    "UnixTimestamp": (SECONDS, pa.timestamp("s", "UTC")),
    "Uuid": (st.uuids().map(str), pa.string()),
    "Decimal": (st.decimals(allow_nan=False, allow_infinity=False).map(str), pa.string()),
}


def column(kind, arrow, values):
    found = conform(pa.array(values, arrow), parse_type(kind)).column
    return join(len(values), [serialized(found, parse_type(kind))]).to_pylist()


@st.composite
def pairs(draw):
    """A type, a column's Arrow type, and two values."""
    kind = draw(st.sampled_from(sorted(SCALARS)))
    values, arrow = SCALARS[kind]
    if draw(st.booleans()):
        return f"Array({kind})", pa.list_(arrow), draw(st.lists(values)), draw(st.lists(values))
    return kind, arrow, draw(values), draw(st.one_of(st.none(), values))


@given(pairs())
def test_a_value_is_the_same_as_itself_and_as_no_other(pair):
    kind, arrow, first, second = pair
    one, other = column(kind, arrow, [first, second])
    (again,) = column(kind, arrow, [first])
    assert is_same(one, again, parse_type(kind))
    assert is_same(one, other, parse_type(kind)) == (first == second)
    assert is_same(other, one, parse_type(kind)) == (first == second)


@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["Int64", "Array(String)", "Map", "Set(Int64)"]))
def test_whatever_lies_in_the_store_has_an_answer(first, second, kind):
    assert is_same(first, second, parse_type(kind)) == is_same(second, first, parse_type(kind))
    assert is_same(first, first, parse_type(kind))
    distance(first, second)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_single_precision_is_compared_as_such_whatever_it_was_stored_in(number):
    single, double = (Value(**{field: number}).SerializeToString() for field in ("float_val", "double_val"))
    finer = math.nextafter(number, math.inf)
    assert is_same(double, single, parse_type("Float32"))
    assert is_same(Value(double_val=finer).SerializeToString(), single, parse_type("Float32")) == (
        struct.unpack("f", struct.pack("f", finer)) == (number,)
    )
    assert not is_same(Value(double_val=finer).SerializeToString(), double, parse_type("Float64"))


def value(**fields):
    return Value(**fields).SerializeToString()


def a_list(field, *values):
    made = Value()
    getattr(made, field).val.extend(values)
    return made.SerializeToString()


def a_map(*pairs):
    """Entries in this order: a later message adds to an earlier one."""
    whole = b""
    for key, number in pairs:
        made = Value()
        made.map_val.val[key].int64_val = number
        whole += made.SerializeToString()
    return whole


NAN = float("nan")
NOTHING = [None, b"", value(null_val=0), value(unix_timestamp_val=-(2**63)), value(double_val=NAN)]


@pytest.mark.parametrize("online", NOTHING)
@pytest.mark.parametrize("offline", NOTHING)
def test_what_is_missing_is_missing_in_every_form(online, offline):
    assert is_same(online, offline, parse_type("Float64"))
    assert shown(online) is None


@pytest.mark.parametrize("missing", NOTHING)
@pytest.mark.parametrize("there", [value(double_val=0), value(string_val=""), value(bool_val=False)])
def test_nothing_is_no_value(missing, there):
    assert not is_same(missing, there, parse_type("Float64"))


@pytest.mark.parametrize(
    ("kind", "online", "offline", "same"),
    [
        ("Int32", value(int64_val=5), value(int32_val=5), True),
        ("Int64", value(bool_val=True), value(int64_val=1), False),
        ("Int64", value(string_val="5"), value(int64_val=5), False),
        ("Bool", value(bool_val=True), value(bool_val=False), False),
        ("Float64", value(double_val=0.0), value(double_val=-0.0), True),
        ("Float64", value(double_val=math.inf), value(double_val=-math.inf), False),
        ("Bytes", value(bytes_val=b"a"), value(string_val="a"), False),
        ("Array(Float64)", a_list("double_list_val", 1.0, NAN), a_list("double_list_val", 1.0, NAN), True),
        ("Array(Float32)", a_list("double_list_val", 0.1), a_list("float_list_val", 0.1), False),
        ("Array(Int64)", a_list("int64_list_val", 1, 2), a_list("int64_list_val", 2, 1), False),
        ("Array(Int64)", a_list("int64_list_val"), a_list("int64_list_val", 0), False),
        ("Set(Int64)", a_list("int64_set_val", 1, 2), a_list("int64_set_val", 2, 1), True),
        ("Set(Int64)", a_list("int64_set_val", 1, 2), a_list("int64_set_val", 1, 3), False),
        ("Map", a_map(("a", 1), ("b", 2)), a_map(("b", 2), ("a", 1)), True),
        ("Map", a_map(("a", 1)), a_map(("a", 2)), False),
        ("Map", a_map(("a", 1)), a_map(("b", 1)), False),
        ("Float64", b"\xff\xff", value(double_val=1.0), False),
    ],
)  # fmt: skip
def test_values_by_their_meaning(kind, online, offline, same):
    assert is_same(online, offline, parse_type(kind)) is same
    assert is_same(offline, online, parse_type(kind)) is same


def test_numbers_are_as_far_apart_as_their_size_says():
    far = distance(value(double_val=1.0), value(double_val=2.0))
    near = distance(value(double_val=1.0), value(double_val=1.1))
    assert 0 < near < far < distance(value(double_val=1.0), value(double_val=-1.0)) <= 2
    assert distance(value(string_val="a"), value(string_val="b")) == distance(None, value(double_val=1.0)) == 1


def test_what_cannot_be_read_is_said_to_be_so():
    assert shown(b"\xff\xff") == UNREADABLE
