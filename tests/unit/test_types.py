import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factories import a_feature, a_feature_view, problems_in
from featureplane.model.base import shown
from featureplane.model.types import LONGEST_SPELLING, PATTERN, SCALARS, FeatureType, parse_type

scalars = st.sampled_from(sorted(SCALARS)).map(FeatureType)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def structs(inner):
    fields = st.lists(st.tuples(names, inner), min_size=1, max_size=3, unique_by=lambda field: field[0])
    return fields.map(lambda items: FeatureType("Struct", fields=tuple(items)))


def collections(inner):
    kinds = st.sampled_from(["Array", "Set"])
    return st.builds(lambda name, of: FeatureType(name, of=of), kinds, inner) | structs(inner)


# Whether Feast has them or not: `parse_type` knows.
any_types = st.recursive(scalars, collections, max_leaves=4)


@pytest.mark.parametrize("name", SCALARS)
def test_each_scalar_is_read(name):
    assert parse_type(name) == FeatureType(name)


@pytest.mark.parametrize(
    ("text", "value_type"),
    [
        ("Float64", "DOUBLE"),
        ("Array(Float32)", "FLOAT_LIST"),
        ("Set(String)", "STRING_SET"),
        ("Array(Array(Int64))", "VALUE_LIST"),
        ("Set(Set(Int64))", "VALUE_SET"),
        ("Struct({price: Float64})", "STRUCT"),
        ("Array(Struct({price: Float64}))", "STRUCT_LIST"),
    ],
)
def test_the_value_type_is_feasts(text, value_type):
    assert parse_type(text).value_type == value_type


@pytest.mark.parametrize(
    ("text", "numeric"), [("Int32", True), ("Float64", True), ("Decimal", False), ("Array(Int64)", False)]
)
def test_which_types_are_numbers(text, numeric):
    assert parse_type(text).is_numeric is numeric


ALL = (
    "write one of String, Bytes, PdfBytes, ImageBytes, Bool, Int32, Int64, Float32, Float64, UnixTimestamp, "
    "ZonedTimestamp, Map, ScalarMap, Json, Uuid, TimeUuid, Decimal, Array(...), Set(...), Struct({...})"
)
STRUCT = "Struct({a: Map})"
FIELD = "the name of a struct's field belongs; write it like Struct({price: Float64})"
FORM = "write it like Array(Float32) or Struct({price: Float64})"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("int", "is no type of Feast's; write Int64"),
        ("INT64", "is no type of Feast's; write Int64"),
        ("unix_timestamp", "is no type of Feast's; write UnixTimestamp"),
        ("double", "is no type of Feast's; write Float64"),
        ("array(Int64)", "is no type of Feast's; write Array"),
        ("List[int]", "is no type of Feast's; write Array(...)"),
        ("Invalid", f"is no type of Feast's; {ALL}"),
        ("", f"is no type of Feast's; {ALL}"),
        ("Array()", f"has ')', which is no type of Feast's; {ALL}"),
        ("Array(int)", "has 'int', which is no type of Feast's; write Int64"),
        ("Array(Int64", f"ends where ')' belongs; {FORM}"),
        ("Array[Int64]", f"has '[' where '(' belongs; {FORM}"),
        ("Array(Int64))", "goes on with ')' after its end; close each bracket once"),
        ("Int64\n", "goes on with '\\n' after its end; close each bracket once"),
        ("Int64; x", "goes on with ';' after its end; close each bracket once"),
        ("Int64 ", "is not the spelling of this type; write Int64"),
        ("Struct({a:Int64})", "is not the spelling of this type; write Struct({a: Int64})"),
        ("Struct({})", f"has '}}' where {FIELD}"),
        ("Struct({a: Int64,", f"ends where {FIELD}"),
        ("Struct({1a: Int64})", f"has '1' where {FIELD}"),
        ("Struct({ä: Int64})", f"has '\\xe4' where {FIELD}"),
        ("Struct({a: Int64, a: Int64})", "has the struct field 'a' twice; keep one of them"),
        ("Array(PdfBytes)", "asks for Array(PdfBytes), which Feast does not have; write Array(Bytes)"),
        (
            "Array(ZonedTimestamp)",
            "asks for Array(ZonedTimestamp), which Feast does not have; write Array(UnixTimestamp)",
        ),
        ("Set(ScalarMap)", "asks for Set(ScalarMap), which Feast does not have; write Array(Map)"),
        ("Set(Map)", "asks for Set(Map), which Feast does not have; write Array(Map)"),
        ("Set(Struct({a: Map}))", f"asks for Set({STRUCT}), which Feast does not have; write Array({STRUCT})"),
        ("Array(" * 5 + "Int64" + ")" * 5, "is nested more than 4 deep; use Json"),
        ("Array(" * 2000, "is longer than 512 characters; shorten it, or use Json"),
        ("${HOME}", f"is no type of Feast's; {ALL}"),
        ("x" * 512, f"is no type of Feast's; {ALL}"),
    ],
)
def test_what_is_no_type_is_refused_with_the_one_to_write(text, problem):
    view = a_feature_view(features=[{"name": "price", "type": text}])
    assert problems_in(view) == [f"spec.features[0].type: {shown(text)} {problem}"]


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (None, "null"), (True, "true"), (["Int64"], "['Int64']")])
def test_what_is_no_text_is_no_type(value, text):
    view = a_feature_view(features=[{"name": "price", "type": value}])
    assert problems_in(view) == [
        f"spec.features[0].type: must be the name of a type, not {text}; write it like Int64 or Array(Float32)"
    ]


@pytest.mark.parametrize("name", ["Int", "FLOAT", "str", "text", "long", "boolean", "timestamp", "dict", "list"])
def test_a_suggested_type_is_one(name):
    with pytest.raises(ValueError, match="; write ") as caught:
        parse_type(name)
    assert parse_type(str(caught.value).split("; write ")[1].replace("...", "String"))


@given(any_types)
def test_what_is_printed_is_read_back_or_refused(kind):
    try:
        parsed = parse_type(str(kind))
    except ValueError as error:
        assert "Feast does not have" in str(error) or "nested" in str(error) or "longer" in str(error)  # noqa: PT017
        return
    assert parsed == kind
    assert str(parsed) == str(kind)


@given(any_types)
def test_what_is_suggested_instead_of_a_missing_collection_exists(kind):
    text = str(FeatureType("Set", of=kind))
    try:
        parse_type(text)
    except ValueError as error:
        if str(error).startswith(f"asks for {text},"):
            parse_type(str(error).split("; write ")[1])


pieces = st.sampled_from([*SCALARS, "Array", "Set", "Struct", "(", ")", "{", "}", ":", ",", " ", "a", "\n", "é"])


@given(st.lists(pieces, max_size=12).map("".join) | st.text(max_size=20))
@example("Struct({a: Array(Int64), b: Struct({c: Map})})")
def test_any_text_is_a_type_in_its_one_spelling_or_a_problem(text):
    try:
        kind = parse_type(text)
    except ValueError:
        return
    assert str(kind) == text
    assert re.search(PATTERN, text)
    assert 3 <= len(text) <= LONGEST_SPELLING
    assert re.fullmatch(r"[A-Za-z0-9_(){}:, ]+", text)


def test_a_type_that_is_a_type_already_is_kept():
    view = a_feature_view(features=[a_feature(type=FeatureType("Int64"))])
    assert problems_in(view) == []
