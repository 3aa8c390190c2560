"""Conditions on a source's times, in SQL that leaves the column bare: statistics and indices then help.

A naive time is UTC, a date is its midnight. Finer times than microseconds count as the microsecond they lie in, so an
included end is the excluded next microsecond.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.rows import Window

_MICROSECOND = timedelta(microseconds=1)
# DuckDB compares a zoned time with its own kind only.
_ZONED_OF = {"ns": exp.DataType.build("TIMESTAMPTZ_NS", udt=True)}
# How queries call a row of the source. Each column is named with it: a name alone may be that of a feature as well.
SOURCE_ROW = "source_row"
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


def is_time(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type says when."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


@dataclass(frozen=True)
class TimeColumn:
    """A column of times: its expression in a query and its Arrow type."""

    column: exp.Column
    kind: pa.DataType

    def within(self, window: Window) -> exp.Expr:
        """Event time in the window, both ends included."""
        return exp.and_(self._from(window.start), exp.LT(this=self.column.copy(), expression=self._after(window.end)))

    def later_than(self, moment: datetime) -> exp.Expr:
        """After this moment's microsecond."""
        return exp.GTE(this=self.column.copy(), expression=self._after(moment))

    def before(self, moment: datetime) -> exp.Expr:
        """Before this moment."""
        return exp.LT(this=self.column.copy(), expression=self._bound(moment))

    def _from(self, moment: datetime) -> exp.Expr:
        return exp.GTE(this=self.column.copy(), expression=self._bound(moment))

    def _after(self, moment: datetime) -> exp.Expr:
        return self._bound(moment + _MICROSECOND)

    def _bound(self, moment: datetime) -> exp.Expr:
        """The first value of the column's type at or after a moment."""
        moment = moment.astimezone(UTC)
        if pa.types.is_date(self.kind):
            midnight = moment.time() == time()
            day = moment.date() if midnight else moment.date() + timedelta(days=1)
            return exp.cast(exp.Literal.string(day.isoformat()), "DATE")
        if self.kind.tz is not None:
            return exp.cast(exp.Literal.string(moment.isoformat(" ")), _ZONED_OF.get(self.kind.unit, "TIMESTAMPTZ"))
        return exp.cast(exp.Literal.string(moment.replace(tzinfo=None).isoformat(" ")), "TIMESTAMP")


def by_second(value: exp.Expr, kind: pa.DataType) -> exp.Expr:
    """A value to group by, for a key of times: stores keep it in whole seconds."""
    if not pa.types.is_timestamp(kind):
        return value
    if kind.unit == "ns":  # PostgreSQL has none; as any other time DuckDB would round it up
        return rounded_down(exp.Anonymous(this="epoch_ns", expressions=[value]), 10**9)
    return exp.Anonymous(this="date_trunc", expressions=[exp.Literal.string("second"), value])


def rounded_down(nanoseconds: exp.Expr, unit: int) -> exp.Expr:
    """To a multiple of so many nanoseconds, before 1970 too, where a remainder is negative."""
    whole = exp.Literal.number(unit)
    remainder = exp.Paren(this=exp.Mod(this=nanoseconds, expression=whole))
    positive = exp.Paren(this=exp.Add(this=remainder, expression=whole.copy()))
    return exp.Sub(this=nanoseconds.copy(), expression=exp.Mod(this=positive, expression=whole.copy()))


def as_event_time(times: pa.Array) -> pa.Array:
    """Times of any Arrow type of timestamps or dates as timestamp[us, UTC]."""
    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    return times.cast(UTC_MICROSECONDS, safe=False)
