"""Whether a row of a source is an entity's, for a query: columns stay bare where they can, so that statistics and
indices help. Pure.

It lets pass all of the entity's rows; a column that holds its values in another type may give some of others as well.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
from sqlglot import exp

from featureplane.materialization.readers.times import TimeColumn
from featureplane.materialization.rows import Window
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.training.joining import moment

_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def is_value(column: exp.Expr, found: pa.DataType, kind: str, value: Any) -> exp.Expr:
    """Whether a column of the source, of the Arrow type that was `found`, holds this value of a join key's type."""
    if kind == "UnixTimestamp" and not pa.types.is_integer(found):
        return _is_in_second(column, found, value)
    return _IS[kind](column, found, value)


def _is_text(column: exp.Expr, found: pa.DataType, value: str) -> exp.Expr:
    is_text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    text = column.copy() if is_text else exp.cast(column.copy(), "TEXT")
    return exp.EQ(this=text, expression=exp.Literal.string(value))


def _is_number(column: exp.Expr, _: pa.DataType, value: int) -> exp.Expr:
    return exp.EQ(this=column.copy(), expression=exp.Literal.number(value))


def _is_in_second(column: exp.Expr, found: pa.DataType, seconds: int) -> exp.Expr:
    """A key of times is kept in whole seconds, rounded down."""
    assert isinstance(column, exp.Column)
    try:
        start = moment(seconds * MICROSECONDS_PER_SECOND)
        return TimeColumn(column, found).within(Window(start, start + _SECOND - _MICROSECOND))
    except OverflowError:  # beyond the year 9999
        return exp.false()


_IS: Mapping[str, Callable[[exp.Expr, pa.DataType, Any], exp.Expr]] = {
    "String": _is_text,
    **dict.fromkeys(("Int32", "Int64", "UnixTimestamp"), _is_number),
}
