"""Our types are Feast's: what each spelling is, which there are, and what the constant loader makes of them."""

import importlib.util
import itertools
import re

import pytest

from featureplane.model.types import ENTITY_TYPES, SCALARS, parse_type
from featureplane.rendering.repo import feature_repo

COLLECTIONS = ("Array", "Set")
# One of each behaviour, for what is nested deeper.
SOME = ("Int64", "PdfBytes", "Map", "Json", "ScalarMap", "ZonedTimestamp", "Decimal")

FLAT = [*SCALARS, "Invalid"]
COLLECTED = [f"{name}({scalar})" for name, scalar in itertools.product(COLLECTIONS, FLAT)]
STRUCTS = [f"Struct({{a: {inner}}})" for inner in [*FLAT, *COLLECTED]]
NESTED = [f"{name}({inner})" for name, inner in itertools.product(COLLECTIONS, [*COLLECTED, *STRUCTS])]
DEEP = [
    f"{one}({two}({three}({scalar})))" for one, two, three, scalar in itertools.product(*[COLLECTIONS] * 3, SOME)
] + [f"Struct({{a: {inner}, b: Struct({{c: {inner}}})}})" for inner in [*SOME, "Array(Set(Int64))"]]
SPELLINGS = [*FLAT, *COLLECTED, *STRUCTS, *NESTED, *DEEP]


@pytest.fixture(scope="module")
def feast_types():
    from feast import types

    return types


@pytest.fixture(scope="module")
def loader(feast_types):
    spec = importlib.util.spec_from_file_location("loader", feature_repo() / "featureplane_loader.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def feasts(types, text):
    """Feast's type of this spelling, by its own constructors: but for the quotes of a struct's fields it is Python."""
    return eval(re.sub(r"(\w+): ", r"'\1': ", text), dict(vars(types)))


def check_parts(types, kind):
    """Feast only looks at the outermost type, and fails on a value of an inner one that it does not have."""
    assert kind != types.Invalid
    kind.to_value_type()
    for inner in getattr(kind, "fields", {}).values():
        check_parts(types, inner)
    if hasattr(kind, "base_type"):
        check_parts(types, kind.base_type)


def registered(types, text):
    """The type after Feast has written it to its registry and read it back, as for a feature."""
    from feast import Field

    kind = feasts(types, text)
    check_parts(types, kind)
    field = Field(name="f", dtype=kind)
    return kind, kind.to_value_type(), Field.from_proto(field.to_proto()).dtype


def ours(text):
    try:
        return parse_type(text)
    except ValueError:
        return None


def test_our_scalars_are_all_of_feasts(feast_types):
    theirs = {str(kind) for kind in feast_types.PrimitiveFeastType} - {"Invalid"}
    assert set(SCALARS) == theirs


@pytest.fixture(scope="module")
def compared(feast_types):
    """Each spelling with what Feast makes of it, or None where Feast does not have it or loses it on the way."""
    found = {}
    for text in SPELLINGS:
        try:
            kind, value_type, again = registered(feast_types, text)
            found[text] = (kind, value_type) if again == kind else None
        except (ValueError, KeyError, TypeError, AssertionError):
            found[text] = None
    return found


def test_we_have_the_types_that_feast_can_register_and_no_other(compared):
    accepted = {text for text in SPELLINGS if ours(text)}
    theirs = {text for text, found in compared.items() if found}
    assert sorted(accepted - theirs) == []
    assert sorted(theirs - accepted) == []


def test_each_type_has_feasts_value_type_and_feasts_spelling(compared):
    for text, found in compared.items():
        if found and ours(text):
            kind, value_type = found
            assert ours(text).value_type == value_type.name, text
            assert str(ours(text)) == str(kind) == text


def test_the_loader_builds_feasts_type(compared, loader):
    for text, found in compared.items():
        if found and ours(text):
            built = loader.feast_type(text)
            assert built == found[0], text
            assert str(built) == text


def test_entities_have_the_types_that_feast_can_put_into_a_key(feast_types):
    """By asking Feast to write a key of each type."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    fields = {"STRING": "string_val", "INT32": "int32_val", "INT64": "int64_val", "BYTES": "bytes_val"}
    fields |= {"FLOAT": "float_val", "DOUBLE": "double_val", "BOOL": "bool_val", "UNIX_TIMESTAMP": "unix_timestamp_val"}
    samples = {"string_val": "x", "bytes_val": b"x", "bool_val": True, "float_val": 1.5, "double_val": 1.5}
    possible = set()
    for name, field in fields.items():
        key = EntityKey(join_keys=["k"], entity_values=[Value(**{field: samples.get(field, 1)})])
        try:
            serialize_entity_key(key, entity_key_serialization_version=3)
        except ValueError:
            continue
        possible.add(name)
    assert {SCALARS[kind] for kind in ENTITY_TYPES} == possible
