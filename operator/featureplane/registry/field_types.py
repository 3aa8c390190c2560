"""Types of features as Feast's messages have them, or the reason why an object has no form as a definition."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from featureplane.model.types import SCALARS, FeatureType, parse_type
from featureplane.registry.protos import ValueType

# Where Feast keeps what its numbers of types do not say.
STRUCT_TAG = "feast:struct_schema"
NESTED_TAG = "feast:nested_inner_type"
_BY_VALUE_TYPE = {value: name for name, value in SCALARS.items()}
# Feast writes two numbers that its own proto has no names for (feast/value_type.py).
_NAMES = {number: name for name, number in ValueType.Enum.items()} | {30: "PDF_BYTES", 31: "IMAGE_BYTES"}


class NoDefinition(Exception):
    """An object that cannot be declared, with the reason."""


def refuse_if(conditions: Iterable[tuple[Any, str]]) -> None:
    """Raise NoDefinition for the first condition that is met."""
    for condition, why in conditions:
        if condition:
            raise NoDefinition(why)


def scalar(number: int) -> FeatureType:
    name = _NAMES.get(number, str(number))
    refuse_if([(name not in _BY_VALUE_TYPE, f"the type {name}")])
    return FeatureType(_BY_VALUE_TYPE[name])


def field_type(field: Any) -> FeatureType:
    """The inverse of `Field.to_proto` (feast/field.py), which keeps inner types of structs and nested lists in tags."""
    name = _NAMES.get(field.value_type, str(field.value_type))
    if name in {"STRUCT", "STRUCT_LIST"}:
        refuse_if([(STRUCT_TAG not in field.tags, f"a struct without a schema, {field.name}")])
        struct = _struct(json.loads(field.tags[STRUCT_TAG]))
        return struct if name == "STRUCT" else FeatureType("Array", of=struct)
    if name in {"VALUE_LIST", "VALUE_SET"}:
        refuse_if([(NESTED_TAG not in field.tags, f"a nested list without its inner type, {field.name}")])
        return _named(field.tags[NESTED_TAG])
    for suffix, outer in (("_LIST", "Array"), ("_SET", "Set")):
        inner = name.removesuffix(suffix)
        if inner != name and inner in _BY_VALUE_TYPE:
            return FeatureType(outer, of=FeatureType(_BY_VALUE_TYPE[inner]))
    return scalar(field.value_type)


def _struct(schema: Mapping[str, str]) -> FeatureType:
    return FeatureType("Struct", fields=tuple((name, _named(text)) for name, text in schema.items()))


def _named(text: str) -> FeatureType:
    """`Array(FLOAT32)` or `{"__struct__": ...}`, as `feast.field._feast_type_to_str` writes an inner type."""
    if text.startswith("{"):
        return _struct(json.loads(text)["__struct__"])
    for outer in ("Array", "Set"):
        if text.startswith(f"{outer}(") and text.endswith(")"):
            return FeatureType(outer, of=_named(text[len(outer) + 1 : -1]))
    try:
        return parse_type("".join(part.capitalize() for part in text.split("_")))
    except ValueError as error:
        raise NoDefinition(f"a type that {error}") from None
