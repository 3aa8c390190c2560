"""Plain values (see `plain`) as serialized `feast.types.Value` messages: the bytes that Feast writes for them.

Where Feast looks at a value to find its type (in maps, structs and lists of lists), so does this: a number is then of
64 bits. Columns of a run are encoded likewise (materialization/encoding/values.py); tests compare each with Feast.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from featureplane.model.types import FeatureType
from featureplane.registry.protos import Value
from featureplane.serving.wire import length, varint
from featureplane.serving.writing.misfits import Misfit, shown

Encode = Callable[[Any], bytes]

_FLOAT, _DOUBLE = Struct("<cf"), Struct("<cd")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The field of Value that holds a scalar. Feast keeps documents and pictures as bytes.
_FIELDS: Mapping[str, str] = {
    "String": "string", "Bytes": "bytes", "PdfBytes": "bytes", "ImageBytes": "bytes", "Bool": "bool", "Int32": "int32",
    "Int64": "int64", "Float32": "float", "Float64": "double", "UnixTimestamp": "unix_timestamp", "Uuid": "uuid",
    "TimeUuid": "time_uuid", "Decimal": "decimal", "Json": "json",
}  # fmt: skip


@lru_cache(4096)
def encoder_for(kind: FeatureType) -> Encode:
    """What makes bytes of a plain value of the type; it raises Misfit for a map whose values Feast has no type for."""
    quick = _QUICK.get(kind.name)
    if quick is not None:
        return quick(_FIELDS[kind.name])
    fill = _filler(kind)

    def encode(value: Any) -> bytes:
        message = Value()
        fill(message, value)
        return bytes(message.SerializeToString())

    return encode


def _tag(field: str, wire: int) -> bytes:
    return varint(Value.DESCRIPTOR.fields_by_name[f"{field}_val"].number << 3 | wire)


def _of_float(field: str) -> Encode:
    packed, tag = (_FLOAT, _tag(field, _FIXED32)) if field == "float" else (_DOUBLE, _tag(field, _FIXED64))
    pack = packed.pack
    return lambda value: pack(tag, value)


def _of_integer(field: str) -> Encode:
    tag = _tag(field, _VARINT)
    return lambda value: tag + varint(value)


def _of_bytes(field: str) -> Encode:
    tag = _tag(field, _BYTES)
    return lambda value: tag + length(len(value)) + value


def _of_text(field: str) -> Encode:
    of_bytes = _of_bytes(field)
    return lambda value: of_bytes(value.encode())


_QUICK: Mapping[str, Callable[[str], Encode]] = {
    **dict.fromkeys(("Float32", "Float64"), _of_float),
    **dict.fromkeys(("Bool", "Int32", "Int64", "UnixTimestamp"), _of_integer),
    **dict.fromkeys(("Bytes", "PdfBytes", "ImageBytes"), _of_bytes),
    **dict.fromkeys(("String", "Uuid", "TimeUuid", "Decimal", "Json"), _of_text),
}

_Fill = Callable[[Any, Any], None]


def _filler(kind: FeatureType) -> _Fill:
    """What puts a plain value into an empty message of type Value."""
    if kind.name in {"Array", "Set"}:
        assert kind.of
        return _collection(kind.of, "list" if kind.name == "Array" else "set")
    if kind.name == "Struct":
        return _struct(kind)
    if kind.name == "Map":
        return lambda message, value: _fill_map(message.map_val, value)
    if kind.name == "ScalarMap":
        return lambda message, value: message.scalar_map_val.CopyFrom(value)
    if kind.name == "ZonedTimestamp":
        return _fill_zoned
    field = f"{_FIELDS[kind.name]}_val"
    return lambda message, value: setattr(message, field, value)


def _fill_zoned(message: Any, value: tuple[int, str]) -> None:
    message.zoned_timestamp_val.unix_timestamp, message.zoned_timestamp_val.zone = value


def _collection(of: FeatureType, suffix: str) -> _Fill:
    if of.name in {"Array", "Set"}:
        return _nested(of, suffix)
    if of.name == "Map":
        return lambda message, value: _fill_maps(message.map_list_val, value, _fill_map)
    if of.name == "Struct":
        member = _struct_map(of)
        return lambda message, value: _fill_maps(message.struct_list_val, value, member)
    field = f"{_FIELDS[of.name]}_{suffix}_val"

    def fill(message: Any, value: Any) -> None:
        held = getattr(message, field)
        held.SetInParent()
        held.val.extend(value)

    return fill


def _nested(of: FeatureType, suffix: str) -> _Fill:
    # Feast keeps sets in other collections as lists, and an empty one as no value.
    inner = _filler(FeatureType("Array", of=of.of))

    def fill(message: Any, value: Any) -> None:
        held = getattr(message, f"{suffix}_val")
        held.SetInParent()
        for each in value:
            added = held.val.add()
            if each:
                inner(added, each)

    return fill


def _fill_maps(message: Any, values: Any, one: _Fill) -> None:
    message.SetInParent()
    for value in values:
        one(message.val.add(), value)


def _struct(kind: FeatureType) -> _Fill:
    one = _struct_map(kind)
    return lambda message, value: one(message.struct_val, value)


def _struct_map(kind: FeatureType) -> _Fill:
    members = {name: _filler(_within(member)) for name, member in kind.fields}

    def fill(message: Any, value: Mapping[str, Any]) -> None:
        message.SetInParent()
        for name, member in value.items():
            held = message.val[name]
            if member is not None:
                members[name](held, member)

    return fill


# What Feast finds where it only has the value.
_FOUND = {"Int32": "Int64", "Float32": "Float64", "PdfBytes": "Bytes", "ImageBytes": "Bytes"} | dict.fromkeys(
    ("Uuid", "TimeUuid", "Decimal", "Json"), "String"
)


def _within(kind: FeatureType) -> FeatureType:
    """A struct's member as Feast keeps it."""
    if kind.name in {"Array", "Set"}:
        assert kind.of
        return FeatureType("Array", of=_within(kind.of))
    if kind.name == "Struct":
        return FeatureType("Map")
    return FeatureType(_FOUND.get(kind.name, kind.name))


def _fill_map(message: Any, value: Mapping[str, Any]) -> None:
    """As `_python_dict_to_map_proto` of feast/type_map.py."""
    message.SetInParent()
    for name, each in value.items():
        held = message.val[name]
        if each is not None:
            try:
                _fill_found(held, each)
            except (TypeError, ValueError):
                raise Misfit(f"has {shown(each)} as its {name}, which has no type of Feast's") from None


_BY_PYTHON = {bool: "bool", int: "int64", float: "double", str: "string", bytes: "bytes"}


def _fill_found(message: Any, value: Any) -> None:
    if isinstance(value, dict):
        _fill_map(message.map_val, value)
    elif isinstance(value, list):
        kinds = {type(each) for each in value}
        if kinds == {dict}:
            _fill_maps(message.map_list_val, value, _fill_map)
            return
        if len(kinds) != 1 or not kinds <= _BY_PYTHON.keys():  # Feast has no list of nothing, or of several types
            raise TypeError
        getattr(message, f"{_BY_PYTHON[kinds.pop()]}_list_val").val.extend(value)
    else:
        setattr(message, f"{_BY_PYTHON[type(value)]}_val", value)
