"""What a view's spec asks of its values, asked of whole columns before anything is written. Pure.

A row that fails a check is left out and counted; a view with more nulls than it allows is not written at all, so that
its last good values stay.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featureplane.errors import FeatureplaneError
from featureplane.materialization.encoding.conforming import Conforming, is_list
from featureplane.rendering.definitions import Json

Mask = NDArray[np.bool_]

_LONGEST_VALUE = 60
_INT64 = np.iinfo(np.int64)
# What a message shows of many reasons; all of them are counted.
_SHOWN = 5


@dataclass
class Rejected:
    """Rows that were left out: how many, and for each reason how many and one value."""

    rows: int = 0
    reasons: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def note(self, feature: str, why: str, rows: int, example: str) -> None:
        """Some more rows fail for a reason; the first example stays."""
        before, first = self.reasons.get((feature, why), (0, example))
        self.reasons[feature, why] = (before + rows, first)

    def add(self, other: "Rejected") -> None:
        """Rows that were left out elsewhere."""
        self.rows += other.rows
        for (feature, why), (rows, example) in other.reasons.items():
            self.note(feature, why, rows, example)

    def __str__(self) -> str:
        if not self.rows:
            return ""
        parts = [
            f"{feature} {why} in {rows}{f', such as {example}' if example else ''}"
            for (feature, why), (rows, example) in sorted(self.reasons.items(), key=lambda item: -item[1][0])
        ]
        more = f"; and {len(parts) - _SHOWN} more reasons" if len(parts) > _SHOWN else ""
        return f"{self.rows} rows were rejected: " + "; ".join(parts[:_SHOWN]) + more


@dataclass(frozen=True)
class _Check:
    """`finds` says which rows of a column fail; a null fails only where the check is about nulls."""

    why: str
    finds: Callable[[pa.Array], pa.Array]


class Checks:
    """The checks of one view. `limits` are the largest shares of nulls that its features allow."""

    def __init__(self, declared: Mapping[str, Json]) -> None:
        self._checks = {feature: list(_checks_of(spec)) for feature, spec in declared.items()}
        self.limits: dict[str, float] = {
            feature: spec["maxNullFraction"] for feature, spec in declared.items() if "maxNullFraction" in spec
        }

    def passing(self, columns: Mapping[str, Conforming], rejected: Rejected, there: Mask | None = None) -> Mask | None:
        """Which rows pass, bool of n, or None for all; notes the others.

        `columns` hold keys and features. Rows that are not `there` (None: all are) are asked nothing and do not pass.
        """
        failing: Mask | None = None
        for name, found in columns.items():
            for why, every, values in self._failures(name, found):
                mask = every if there is None else every & there
                if not mask.any():
                    continue
                first = int(np.argmax(mask))
                rejected.note(name, why, int(mask.sum()), _shown(values, first))
                failing = mask if failing is None else failing | mask
        if failing is None:
            return there
        rejected.rows += int(failing.sum())
        return ~failing if there is None else there & ~failing

    def _failures(self, name: str, found: Conforming) -> Iterator[tuple[str, Mask, pa.Array]]:
        if found.wrong is not None:
            yield found.why, found.wrong, None
        for check in self._checks.get(name, ()):
            mask: Mask = check.finds(found.column).fill_null(False).to_numpy(zero_copy_only=False)
            if found.wrong is not None:
                mask &= ~found.wrong
            if mask.any():
                yield check.why, mask, found.column

    def over_limit(self, rows: int, nulls: Mapping[str, int]) -> str:
        """Why the view must not be written, by the nulls among its latest rows; empty where it may."""
        return "; ".join(
            f"{feature} has no value in {nulls[feature]} of {rows} rows ({nulls[feature] / rows:.1%}), "
            f"and maxNullFraction allows {limit:.1%}"
            for feature, limit in self.limits.items()
            if rows and nulls[feature] / rows > limit
        )


def _checks_of(spec: Json) -> Iterator[_Check]:
    if spec.get("notNull"):
        yield _Check("has no value", pc.is_null)
    if "minimum" in spec:
        least = spec["minimum"]
        yield _Check(f"is below the minimum {least:g}", lambda column: _below(column, least))
    if "maximum" in spec:
        most = spec["maximum"]
        yield _Check(f"is above the maximum {most:g}", lambda column: _above(column, most))
    if "in" in spec:
        allowed = list(spec["in"])
        shown = ", ".join(json.dumps(value, ensure_ascii=False) for value in allowed[:_SHOWN])
        more = ", ..." if len(allowed) > _SHOWN else ""
        yield _Check(f"is none of {shown}{more}", lambda column: _not_among(column, allowed))
    if "pattern" in spec:
        pattern = _compiled(spec["pattern"])
        yield _Check(
            f"does not match {pattern}", lambda column: pc.invert(pc.match_substring_regex(column, pattern=pattern))
        )
    if "length" in spec:
        length = spec["length"]
        yield _Check(f"has another length than {length}", lambda column: _of_another_length(column, length))


def _below(column: pa.Array, bound: float) -> pa.Array:
    """A bound counts as the column would hold it: 0.3 is another number in single precision than in double, and of
    whole numbers none lies between two.
    """
    if pa.types.is_floating(column.type):
        return pc.less(column, pa.scalar(bound, column.type))
    least = math.ceil(bound)
    return pc.less(column, pa.scalar(max(least, _INT64.min))) if least <= _INT64.max else column.is_valid()


def _above(column: pa.Array, bound: float) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.greater(column, pa.scalar(bound, column.type))
    most = math.floor(bound)
    return pc.greater(column, pa.scalar(min(most, _INT64.max))) if most >= _INT64.min else column.is_valid()


def _compiled(pattern: str) -> str:
    """The pattern, which the engine that asks it takes: the model looks at it with another one of RE2's kind."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)
    except pa.ArrowInvalid as error:
        raise FeatureplaneError(
            f"the pattern {pattern} is not one of RE2's: {error}; write it in another way"
        ) from error
    return pattern


def _not_among(column: pa.Array, allowed: list[Any]) -> pa.Array:
    if pa.types.is_floating(column.type):  # a whole number that it cannot hold counts as the nearest one
        allowed = [float(value) for value in allowed]
    found = pc.is_in(column, value_set=pa.array(allowed, column.type))
    return pc.and_(column.is_valid(), pc.invert(found))


def _of_another_length(column: pa.Array, length: int) -> pa.Array:
    """A column that holds no lists has nothing but nulls, or is refused where its values are encoded."""
    if not is_list(column.type):
        return pa.nulls(len(column), pa.bool_())
    return pc.not_equal(pc.list_value_length(column), length)


def _shown(values: pa.Array | None, row: int) -> str:
    """One value as a message shows it: short, on one line."""
    if values is None or not values[row].is_valid:
        return ""
    value = values[row].as_py()
    text = json.dumps(value, ensure_ascii=True, default=str)
    if len(text) <= _LONGEST_VALUE:
        return text
    end = f"... ({len(value)} elements)" if isinstance(value, list) else "..."
    return text[: _LONGEST_VALUE - len(end)] + end
