"""What a view's spec asks of a feature's values (model/checks.py), asked of plain values one by one.

A run asks the same of columns (materialization/checks.py), and a test compares the two. `maxNullFraction` is about all
of a view's rows: of a request it only says whether nulls are allowed at all.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Any

from featureplane.model.types import FeatureType
from featureplane.serving.writing.patterns import matcher

_SINGLE = Struct("<f")
_SHOWN = 5

# Whether a value fails, and the words for it.
Check = tuple[Callable[[Any], bool], str]


def takes_nulls(spec: Mapping[str, Any]) -> bool:
    return not spec.get("notNull") and spec.get("maxNullFraction") != 0


def checks_of(spec: Mapping[str, Any], kind: FeatureType) -> Iterator[Check]:
    """The checks of values that are there. Raises ValueError for a pattern that is none."""
    if "minimum" in spec:
        yield _below(spec["minimum"], kind), f"is below the minimum {spec['minimum']:g}"
    if "maximum" in spec:
        yield _above(spec["maximum"], kind), f"is above the maximum {spec['maximum']:g}"
    if "in" in spec:
        words = ", ".join(json.dumps(value) for value in spec["in"][:_SHOWN])
        more = ", ..." if len(spec["in"]) > _SHOWN else ""
        yield _not_among(spec["in"], kind), f"is none of {words}{more}"
    if "pattern" in spec:
        yield _not_matching(spec["pattern"]), f"does not match {spec['pattern']}"
    if "length" in spec:
        yield _of_another_length(spec["length"]), f"has another length than {spec['length']}"


def _held(number: float, kind: FeatureType) -> float:
    """A number as the feature's column holds it: 0.3 is another one in single precision than in double."""
    if kind.name != "Float32":
        return float(number)
    try:
        found: tuple[float] = _SINGLE.unpack(_SINGLE.pack(number))
    except OverflowError:
        return math.copysign(math.inf, number)
    return found[0]


def _below(bound: float, kind: FeatureType) -> Callable[[Any], bool]:
    least = _held(bound, kind) if kind.name.startswith("Float") else math.ceil(bound)
    return lambda value: value < least


def _above(bound: float, kind: FeatureType) -> Callable[[Any], bool]:
    most = _held(bound, kind) if kind.name.startswith("Float") else math.floor(bound)
    return lambda value: value > most


def _not_among(values: list[Any], kind: FeatureType) -> Callable[[Any], bool]:
    allowed = frozenset(_held(value, kind) for value in values) if kind.name.startswith("Float") else frozenset(values)
    return lambda value: value not in allowed


def _not_matching(pattern: str) -> Callable[[Any], bool]:
    matches = matcher(pattern)
    return lambda value: not matches(value)


def _of_another_length(length: int) -> Callable[[Any], bool]:
    return lambda value: len(value) != length
