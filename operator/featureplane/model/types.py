"""Feast's value types in the spelling of `feast.types`: `Int64`, `Array(Float32)`, `Struct({price: Float64})`.

The list follows Feast 0.67 (`feast/types.py`, `PrimitiveFeastType`, `Array`, `Set`, `Struct`); a test compares it with
Feast's own, type by type.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from featureplane.model.base import shown, wrong

# The name here -> the name of the value type in Feast's protos (feast/types/Value.proto, ValueType.Enum).
SCALARS = {
    "String": "STRING",
    "Bytes": "BYTES",
    "PdfBytes": "PDF_BYTES",
    "ImageBytes": "IMAGE_BYTES",
    "Bool": "BOOL",
    "Int32": "INT32",
    "Int64": "INT64",
    "Float32": "FLOAT",
    "Float64": "DOUBLE",
    "UnixTimestamp": "UNIX_TIMESTAMP",
    "ZonedTimestamp": "ZONED_TIMESTAMP",
    "Map": "MAP",
    "ScalarMap": "SCALAR_MAP",
    "Json": "JSON",
    "Uuid": "UUID",
    "TimeUuid": "TIME_UUID",
    "Decimal": "DECIMAL",
}
# Feast has no list or set of these.
_NOT_IN_ARRAY = frozenset({"PdfBytes", "ImageBytes", "ScalarMap", "ZonedTimestamp"})
_NOT_IN_SET = _NOT_IN_ARRAY | {"Map", "Json", "Struct"}
# What comes nearest to them.
_INSTEAD = {"PdfBytes": "Bytes", "ImageBytes": "Bytes", "ScalarMap": "Map", "ZonedTimestamp": "UnixTimestamp"}

# What Feast can put into an entity key (feast/infra/key_encoding_utils.py, `_serialize_val`).
ENTITY_TYPES = ("String", "Int32", "Int64", "Bytes", "UnixTimestamp")
NUMERIC = frozenset({"Int32", "Int64", "Float32", "Float64"})

LONGEST_SPELLING = 512
_DEEPEST = 4
_FLAT = "|".join(SCALARS)
# The API server checks the outer form; what a pattern cannot count (brackets), the operator checks.
PATTERN = rf"^(({_FLAT})|(Array|Set)\(.+\)|Struct\(\{{.+\}}\))$"


@dataclass(frozen=True)
class FeatureType:
    """A value type: a scalar, or `Array`, `Set` or `Struct` of others. `str()` is the one spelling of it."""

    name: str
    of: "FeatureType | None" = None
    fields: tuple[tuple[str, "FeatureType"], ...] = ()

    def __str__(self) -> str:
        if self.fields:
            return "Struct({" + ", ".join(f"{name}: {kind}" for name, kind in self.fields) + "})"
        return f"{self.name}({self.of})" if self.of else self.name

    @property
    def is_numeric(self) -> bool:
        return self.name in NUMERIC

    @property
    def value_type(self) -> str:
        """The name of Feast's `ValueType` enum that a value of this type is stored as."""
        if self.name == "Struct":
            return "STRUCT"
        if self.of is None:
            return SCALARS[self.name]
        suffix = "LIST" if self.name == "Array" else "SET"
        if self.of.name in {"Array", "Set"}:
            return f"VALUE_{suffix}"
        return f"{'STRUCT' if self.of.name == 'Struct' else SCALARS[self.of.name]}_{suffix}"


@lru_cache(4096)
def parse_type(text: str) -> FeatureType:
    """Read one type; thousands of features share a few. Raises ValueError with what is wrong and what to write."""
    if len(text) > LONGEST_SPELLING:
        raise ValueError(f"is longer than {LONGEST_SPELLING} characters; shorten it, or use Json")
    tokens = [
        token for token in re.findall(r"[A-Za-z_][A-Za-z0-9_]*|[(){}:,]| +|.", text, re.DOTALL) if token.strip(" ")
    ]
    parser = _Parser(iter([*tokens, ""]))
    kind = parser.type(depth=0)
    parser.expect("")
    if str(kind) != text:
        raise ValueError(f"is not the spelling of this type; write {kind}")
    return kind


class _Parser:
    """Recursive descent over `Name`, `Array(T)`, `Set(T)`, `Struct({name: T, ...})`."""

    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens
        self._next = next(tokens)

    def take(self) -> str:
        token, self._next = self._next, next(self._tokens, "")
        return token

    def expect(self, token: str) -> None:
        found = self.take()
        if found == token:
            return
        if not token:
            raise ValueError(f"goes on with {found!a} after its end; close each bracket once")
        where = f"has {found!a}" if found else "ends"
        raise ValueError(f"{where} where {token!a} belongs; write it like Array(Float32) or Struct({{price: Float64}})")

    def type(self, depth: int) -> FeatureType:
        if depth > _DEEPEST:
            raise ValueError(f"is nested more than {_DEEPEST} deep; use Json")
        name = self.take()
        if name in SCALARS:
            return FeatureType(name)
        if name == "Struct":
            return self._struct(depth)
        if name not in {"Array", "Set"}:
            raise ValueError(f"{f'has {shown(name)}, which ' if depth else ''}is no type of Feast's; {_suggest(name)}")
        self.expect("(")
        inner = self.type(depth + 1)
        self.expect(")")
        if inner.name in (_NOT_IN_ARRAY if name == "Array" else _NOT_IN_SET):
            near = _INSTEAD.get(inner.name, inner)
            outer = "Array" if str(near) in _NOT_IN_SET or inner.fields else name
            raise ValueError(f"asks for {name}({inner}), which Feast does not have; write {outer}({near})")
        return FeatureType(name, of=inner)

    def _struct(self, depth: int) -> FeatureType:
        self.expect("(")
        self.expect("{")
        fields: dict[str, FeatureType] = {}
        while True:
            name = self.take()
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                where = f"has {name!a}" if name else "ends"
                raise ValueError(
                    f"{where} where the name of a struct's field belongs; write it like Struct({{price: Float64}})"
                )
            if name in fields:
                raise ValueError(f"has the struct field {shown(name)} twice; keep one of them")
            self.expect(":")
            fields[name] = self.type(depth + 1)
            if self._next != ",":
                break
            self.take()
        self.expect("}")
        self.expect(")")
        return FeatureType("Struct", fields=tuple(fields.items()))


# What people write who come from SQL, Python, Arrow or Feast's older spelling.
_SYNONYMS = {
    "str": "String", "text": "String", "varchar": "String", "int": "Int64", "integer": "Int64",
    "long": "Int64", "bigint": "Int64", "double": "Float64", "float": "Float32", "number": "Float64",
    "boolean": "Bool", "binary": "Bytes",
    "timestamp": "UnixTimestamp", "datetime": "UnixTimestamp", "list": "Array(...)", "dict": "Map",
}  # fmt: skip


def _suggest(name: str) -> str:
    by_case = {known.lower(): known for known in (*SCALARS, "Array", "Set", "Struct")}
    near = by_case.get(name.lower().replace("_", "")) or _SYNONYMS.get(name.lower())
    if near:
        return f"write {near}"
    return "write one of " + ", ".join(SCALARS) + ", Array(...), Set(...), Struct({...})"


def _validate(value: Any) -> FeatureType:
    if isinstance(value, FeatureType):
        return value
    if not isinstance(value, str):
        raise wrong(f"must be the name of a type, not {shown(value)}", "write it like Int64 or Array(Float32)")
    try:
        return parse_type(value)
    except ValueError as error:
        why, _, remedy = str(error).partition("; ")
        raise wrong(f"{shown(value)} {why}", remedy) from None


ValueType = Annotated[
    FeatureType,
    BeforeValidator(_validate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 3, "maxLength": LONGEST_SPELLING, "pattern": PATTERN}),
]
