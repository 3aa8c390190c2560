"""The number of an entity's newest row, as one aggregate: rows in order of event time, time of writing, and number.

These three are packed into one 128-bit integer wherever they fit, which nearly all do: its maximum takes a third of
the time of that of a row of three values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.times import TimeColumn

# Of a HUGEINT, without its sign.
_BITS = 127


@dataclass(frozen=True)
class Newest:
    """How the newest row is found: `times` in order of their weight, `number` a row's number of so many bits."""

    times: Sequence[TimeColumn]
    number: exp.Expr
    number_bits: int

    def extremes(self) -> list[exp.Expr]:
        """Aggregates: the least and the greatest value of each of the times."""
        return [function(this=_ticks(time)) for time in self.times for function in (exp.Min, exp.Max)]

    def aggregate(self, extremes: Sequence[int | None]) -> exp.Expr:
        """The number of a group's newest row, given the extremes of all groups."""
        # One more than the span: nothing at all is older than the oldest.
        spans = [
            ((least or 0) - 1, ((greatest or 0) - (least or 0) + 1).bit_length())
            for least, greatest in zip(extremes[::2], extremes[1::2], strict=True)
        ]
        if sum(bits for _, bits in spans) + self.number_bits > _BITS:
            return self._of_row(spans)
        return self._packed(spans)

    def _packed(self, spans: Sequence[tuple[int, int]]) -> exp.Expr:
        packed: exp.Expr = exp.cast(exp.Literal.number(0), "HUGEINT")
        for time, (start, bits) in zip(self.times, spans, strict=True):
            packed = exp.Add(this=_times(packed, 1 << bits), expression=_since(time, start))
        packed = exp.Add(this=_times(packed, 1 << self.number_bits), expression=self.number)
        mask = exp.cast(exp.Literal.number((1 << self.number_bits) - 1), "HUGEINT")
        return exp.cast(exp.BitwiseAnd(this=exp.Max(this=packed), expression=mask), "BIGINT")

    def _of_row(self, spans: Sequence[tuple[int, int]]) -> exp.Expr:
        ordered = [_since(time, start) for time, (start, _) in zip(self.times, spans, strict=True)]
        row = exp.Anonymous(this="row", expressions=[*ordered, self.number])
        place = exp.Literal.number(len(ordered) + 1)
        return exp.Anonymous(this="struct_extract", expressions=[exp.Max(this=row), place])


def _since(time: TimeColumn, start: int) -> exp.Expr:
    """Ticks since `start`, which no time is; a time that is missing is it."""
    ticks = exp.Coalesce(this=_ticks(time), expressions=[exp.Literal.number(start)])
    return exp.Paren(this=exp.Sub(this=exp.cast(ticks, "HUGEINT"), expression=exp.Literal.number(start)))


def _times(value: exp.Expr, factor: int) -> exp.Expr:
    return exp.Mul(this=exp.Paren(this=value), expression=exp.cast(exp.Literal.number(factor), "HUGEINT"))


def _ticks(time: TimeColumn) -> exp.Expr:
    """The column's time since 1970 in the unit that it is kept in."""
    is_fine = pa.types.is_timestamp(time.kind) and time.kind.unit == "ns"
    return exp.Anonymous(this="epoch_ns" if is_fine else "epoch_us", expressions=[time.column.copy()])
