"""Rows of one view, from a request's columns to what a hash of Redis gets: worked out once for each view.

Every value is checked before any is written. What is wrong is said with its column and row, counted from 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from featureplane.model.types import FeatureType
from featureplane.online.layout import Keys, field, time_field
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.serving.catalogue.served import ServedView
from featureplane.serving.catalogue.writable import Checks, WritableView
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.serving.reading.link import bulks
from featureplane.serving.writing.checks import Check, checks_of, takes_nulls
from featureplane.serving.writing.encoding import Encode, encoder_for
from featureplane.serving.writing.misfits import Misfit, WrongColumn, shown
from featureplane.serving.writing.moments import micros
from featureplane.serving.writing.plain import Plain, plain_for

_PAIR = Struct(">5sqi2s")
# What Feast's SDK calls the event time, whatever the view's source does (feast/infra/online_stores/remote.py).
_EVENT_TIME = "event_timestamp"
_TEXTS = frozenset({"String", "Bytes", "PdfBytes", "ImageBytes", "Uuid", "TimeUuid", "Decimal", "Json"})


@dataclass(frozen=True)
class Rows:
    """Rows of a view: Redis' keys, event times in microseconds since 1970, and for each the RESP strings that the
    script wants of it: its time, then fields and values.
    """

    keys: Sequence[bytes]
    times: Sequence[int]
    words: Sequence[bytes]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.keys)) + sum(map(len, self.words))


@dataclass(frozen=True)
class _Column:
    """A join key or a feature: `source` is the other name that it may come by."""

    name: str
    source: str
    plain: Plain
    takes_null: bool = False
    checks: tuple[Check, ...] = ()
    # What stands before each value, and what makes it; a key has none.
    head: bytes = b""
    encode: Encode | None = None


class ViewPlan:
    """How rows of a view are checked and encoded. Raises ValueError for a check that cannot be asked."""

    def __init__(self, project: str, view: ServedView, writable: WritableView, checks: Checks) -> None:
        self.name = view.name
        self.join_keys: Keys = view.join_keys
        self.ttl_ms = int(view.ttl) * 1000
        self._maker = KeyMaker(view.join_keys, project)
        self._timestamp = writable.timestamp_field
        columns = writable.columns
        self._keys = [
            _Column(name, columns.get(name, name), plain_for(FeatureType(kind))) for name, kind in view.join_keys
        ]
        self._features = [
            _feature(view.name, name, columns.get(name, name), kind, checks.get(name, {}))
            for name, kind in zip(view.features, writable.types, strict=True)
        ]
        kinds = [
            *zip(view.features, writable.types, strict=True),
            *((name, FeatureType(kind)) for name, kind in view.join_keys),
        ]
        # Columns whose values are texts, by both of their names.
        self.text_columns = frozenset(
            each for name, kind in kinds if kind.name in _TEXTS for each in (name, columns.get(name, name))
        )
        last = time_field(view.name)
        self._last = bulks([last])
        # What the script has to know of the view.
        self.constants = (last, b"%d" % self.ttl_ms, b"%d" % self.arguments)

    @property
    def columns(self) -> list[str]:
        """What a row has, by its own names."""
        return [*(column.name for column in (*self._keys, *self._features)), self._timestamp]

    @property
    def arguments(self) -> int:
        """Strings of a row: two for each field."""
        return 2 * len(self._features) + 2

    def rows(self, columns: Mapping[str, Sequence[Any]], start: int, stop: int) -> Rows:
        """Raises WrongColumn for the first value that is wrong; a request whose features are all null has no rows."""
        times = self._times(columns, start, stop)
        keys = [_plain_values(column, columns, start, stop) for column in self._keys]
        plains = [_plain_values(column, columns, start, stop) for column in self._features]
        if all(value is None for values in plains for value in values):  # as Feast, which only warns
            return Rows((), (), ())
        stored = [_stored(column, values, start) for column, values in zip(self._features, plains, strict=True)]
        stamps = [_stamp(time) for time in times]
        last = self._last
        words = [
            b"%b%b%b%b" % (pair, b"".join(values), last, stamp)
            for (pair, stamp), values in zip(stamps, zip(*stored, strict=True), strict=True)
        ]
        return Rows(self._maker.keys(keys), times, words)

    def _times(self, columns: Mapping[str, Sequence[Any]], start: int, stop: int) -> list[int]:
        name = self._timestamp if self._timestamp in columns else _EVENT_TIME
        if name not in columns:
            raise WrongColumn(self._timestamp, "is missing; write the event time of each row")
        values = columns[name][start:stop]
        try:
            return [micros(value) for value in values]
        except Misfit:
            raise _refusal(name, values, start, micros) from None


def _feature(view: str, name: str, source: str, kind: FeatureType, checks: Mapping[str, Any]) -> _Column:
    return _Column(
        name,
        source,
        plain_for(kind),
        takes_nulls(checks),
        tuple(checks_of(checks, kind)),
        bulks([field(view, name)]),
        encoder_for(kind),
    )


def _plain_values(column: _Column, columns: Mapping[str, Sequence[Any]], start: int, stop: int) -> list[Any]:
    """Checked values of a column's rows."""
    name = column.name if column.name in columns else column.source
    if name not in columns:
        how = "null where a row has no value" if column.encode else "the join key of each row"
        raise WrongColumn(column.name, f"is missing; write {how}")
    values = columns[name][start:stop]
    plain = column.plain
    try:
        found = [None if value is None else plain(value) for value in values]
    except Misfit:
        raise _refusal(name, values, start, plain) from None
    if not column.takes_null and None in found:
        row = found.index(None)
        raise WrongColumn(name, "has no value; write one", start + row)
    for fails, why in column.checks:
        for row, value in enumerate(found):
            if value is not None and fails(value):
                raise WrongColumn(name, f"{shown(values[row])} {why}", start + row)
    return found


def _refusal(name: str, values: Sequence[Any], start: int, plain: Callable[[Any], Any]) -> WrongColumn:
    """For the first of the values that does not fit."""
    for row, value in enumerate(values):
        try:
            if value is not None or plain is micros:
                plain(value)
        except Misfit as misfit:
            return WrongColumn(name, f"{shown(value)} {misfit}", start + row)
    raise AssertionError("one of them does not fit")


def _stored(column: _Column, values: Sequence[Any], start: int) -> list[bytes]:
    """Field and value of each row as RESP strings; a null is an empty one."""
    head, encode = column.head, column.encode
    assert encode is not None
    nothing = b"%b$0\r\n\r\n" % head
    found = []
    for row, value in enumerate(values):
        if value is None:
            found.append(nothing)
            continue
        try:
            stored = encode(value)
        except Misfit as misfit:
            raise WrongColumn(column.name, f"{shown(value)} {misfit}", start + row) from None
        found.append(b"%b$%d\r\n%b\r\n" % (head, len(stored), stored))
    return found


@lru_cache(16_384)
def _stamp(time: int) -> tuple[bytes, bytes]:
    """An event time as the script compares it, and as the hash keeps it: RESP strings. Rows often share one."""
    seconds, rest = divmod(time, MICROSECONDS_PER_SECOND)
    stored = Timestamp(seconds=seconds, nanos=rest * 1000).SerializeToString()
    return _PAIR.pack(b"$12\r\n", seconds, rest * 1000, b"\r\n"), bulks([stored])
