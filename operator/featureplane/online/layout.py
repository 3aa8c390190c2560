"""Where Feast keeps rows in Redis: keys and fields, byte for byte (feast/infra/key_encoding_utils.py, version 3, and
feast/infra/online_stores/helpers.py). Pure; a test compares it with Feast.

One hash holds all views of an entity. Its key is the number of join keys, each sorted join key as type STRING, length
and text, then each value as type, length and bytes, then the project's name; numbers are little-endian uint32.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import mmh3

# feast.types.ValueType.Enum of the types that an entity may have.
VALUE_TYPES = {"Bytes": 1, "String": 2, "Int32": 3, "Int64": 4, "UnixTimestamp": 8}

# Join keys with their types, sorted by name: what all rows of views with the same entities share.
Keys = tuple[tuple[str, str], ...]


def prefix(keys: Keys) -> bytes:
    """What every key of rows with these join keys begins with."""
    parts = [struct.pack("<I", len(keys))]
    for name, _ in keys:
        encoded = name.encode()
        parts += [struct.pack("<2I", VALUE_TYPES["String"], len(encoded)), encoded]
    return b"".join(parts)


def pattern(keys: Keys, project: str) -> bytes:
    """A MATCH for SCAN that finds these rows, and those of projects whose name ends alike: ask `is_key` as well."""
    return _literally(prefix(keys)) + b"*" + _literally(project.encode())


def _literally(text: bytes) -> bytes:
    """Without a meaning in Redis' patterns: a length of 42 is an asterisk."""
    return re.sub(rb"([*?\[\]\\^-])", rb"\\\1", text)


def is_key(key: bytes, keys: Keys, project: str) -> bool:
    """Whether it is the key of a row with just these join keys and types in just this project."""
    return _values(key, keys, project) is not None


def entity_of(key: bytes, keys: Keys, project: str) -> tuple[Any, ...] | None:
    """The values of the join keys of a row's key; None where `is_key` says no, or a value is none of its type."""
    values = _values(key, keys, project)
    if values is None:
        return None
    try:
        return tuple(_READ[kind](value) for (_, kind), value in zip(keys, values, strict=True))
    except ValueError:
        return None


def _values(key: bytes, keys: Keys, project: str) -> list[bytes] | None:
    start = prefix(keys)
    if not key.startswith(start):
        return None
    values: list[bytes] = []
    position = len(start)
    for _, kind in keys:
        if len(key) < position + 8:
            return None
        type_, length = struct.unpack_from("<2I", key, position)
        if type_ != VALUE_TYPES.get(kind):
            return None
        values.append(key[position + 8 : position + 8 + length])
        position += 8 + length
    return values if key[position:] == project.encode() else None


def _whole(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


_READ: Mapping[str, Callable[[bytes], Any]] = {
    "Bytes": bytes,
    "String": bytes.decode,
    **dict.fromkeys(("Int32", "Int64", "UnixTimestamp"), _whole),
}


def field(view: str, feature: str) -> bytes:
    """The field of the hash that holds a feature's value."""
    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def time_field(view: str) -> bytes:
    """The field of the hash that holds the event time of a view's row."""
    return f"_ts:{view}".encode()


def fields_of(view: str, features: Iterable[str]) -> set[bytes]:
    """The fields of the hash that a view's row has."""
    return {time_field(view), *(field(view, name) for name in features)}


def keys_of(entities: Sequence[dict[str, str]]) -> Keys:
    """The join keys of a view's entities, as its definition lists them."""
    return tuple(sorted((entity["join_key"], entity["type"]) for entity in entities))
