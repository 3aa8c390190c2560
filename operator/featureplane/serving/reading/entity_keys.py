"""Redis keys of the entities that a request names, and what the answer says of them.

The layout is `online.layout`'s; values are taken as Feast takes them from JSON (feast/type_map.py): text of any scalar,
numbers from text. A fraction, which Feast cuts, would be the key of another entity, and true that of 1.
"""

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

from featureplane.online.layout import VALUE_TYPES, prefix
from featureplane.serving.reading.refusals import Refused
from featureplane.serving.writing.misfits import shown

_HEAD = Struct("<2I")
_MOST_SHOWN = 60


def converted(name: str, values: Sequence[Any], kind: str) -> Sequence[Any]:
    """A join key's values as its type has them. Raises Refused."""
    convert = _CONVERT[kind]
    try:
        if set(map(type, values)) == {_PYTHON[kind]} and (kind not in _RANGES or _within(values, *_RANGES[kind])):
            return values
        return [convert(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        wrong = next(value for value in values if not _fits(convert, value))
        # As it was sent, but for a text: its quotes would come with backslashes.
        value = repr(wrong[:_MOST_SHOWN]) if isinstance(wrong, str) else shown(wrong)
        raise Refused(f"entities.{name}: {value} is no {kind}; {_INSTEAD[kind]}") from None


def _fits(convert: Callable[[Any], Any], value: Any) -> bool:
    try:
        convert(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _within(values: Sequence[int], least: int, most: int) -> bool:
    return least <= min(values) and max(values) <= most


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if not isinstance(value, int | float):  # a list of JSON's, bytes and messages of gRPC's
        raise TypeError
    return str(value)


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if type(value) is not int:
            if isinstance(value, list | dict | bool):
                raise TypeError
            if isinstance(value, float) and not value.is_integer():
                raise ValueError
            value = int(value)
        if not least <= value <= most:
            raise ValueError
        return int(value)

    return convert


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):  # JSON has none; gRPC does
        return value
    raise TypeError


_PYTHON = {"String": str, "Bytes": bytes, "Int32": int, "Int64": int, "UnixTimestamp": int}
_RANGES = {"Int32": (-(2**31), 2**31 - 1), **dict.fromkeys(("Int64", "UnixTimestamp"), (-(2**63), 2**63 - 1))}
_INSTEAD = {
    "String": "write a text",
    "Bytes": "bytes can be sent over gRPC alone",
    **{kind: f"write whole numbers from {least} to {most}" for kind, (least, most) in _RANGES.items()},
}
_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "String": _text,
    "Bytes": _bytes,
    **{kind: _whole(*bounds) for kind, bounds in _RANGES.items()},
}


class KeyMaker:
    """Makes the keys of one combination of join keys, each named with its type."""

    def __init__(self, join_keys: Sequence[tuple[str, str]], project: str) -> None:
        self.join_keys = tuple(sorted(join_keys))
        self._head = prefix(self.join_keys)
        self._tail = project.encode()
        self._pack = [_PACK[kind] for _, kind in self.join_keys]

    def keys(self, columns: Sequence[Sequence[Any]]) -> list[bytes]:
        """A key for each row; `columns` hold the values of each join key, in the order of `join_keys`."""
        head, tail = self._head, self._tail
        if len(columns) == 1:
            pack = self._pack[0]
            return [head + pack(value) + tail for value in columns[0]]
        rows = zip(*columns, strict=True)
        packs = self._pack
        return [head + b"".join([pack(value) for pack, value in zip(packs, row, strict=True)]) + tail for row in rows]


def _fixed(kind: str, layout: str) -> Callable[[int], bytes]:
    packed = Struct(f"<2I{layout}")
    type_, width = VALUE_TYPES[kind], packed.size - _HEAD.size
    pack = packed.pack
    return lambda value: pack(type_, width, value)


def _of_text(value: str) -> bytes:
    encoded = value.encode()
    return _HEAD.pack(_STRING, len(encoded)) + encoded


def _of_bytes(value: bytes) -> bytes:
    return _HEAD.pack(VALUE_TYPES["Bytes"], len(value)) + value


_STRING = VALUE_TYPES["String"]
_PACK: Mapping[str, Callable[[Any], bytes]] = {
    "String": _of_text,
    "Bytes": _of_bytes,
    "Int32": _fixed("Int32", "i"),
    "Int64": _fixed("Int64", "q"),
    "UnixTimestamp": _fixed("UnixTimestamp", "q"),
}
