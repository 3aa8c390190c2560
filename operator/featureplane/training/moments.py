"""The entities of a file as keys and times to ask for: each value as its type wants it, or the row that has another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from featureplane.errors import InputError, Problem
from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.materialization.readers.times import UTC_MICROSECONDS
from featureplane.model.types import parse_type
from featureplane.training.entity_files import CsvTypes, EntityFile, no_rows

# Rows of an error that are named, and rows that are looked at in one step.
_MOST_NAMED = 5
BATCH_ROWS = 50_000
_NUMBERS = ("Int32", "Int64")
_NAIVE, _AWARE = pa.timestamp("us"), UTC_MICROSECONDS
# The first and the last time that Python has, in microseconds since 1970.
_EARLIEST = pa.scalar(datetime.min.replace(tzinfo=UTC), _AWARE).value
_LATEST = pa.scalar(datetime.max.replace(tzinfo=UTC), _AWARE).value


@dataclass(frozen=True)
class EntityColumns:
    """Which columns say who and when: join keys with their types, and the time's name, empty where none is wanted."""

    keys: Mapping[str, str]
    time: str = ""


@dataclass
class _Seen:
    """Rows by what is wrong with them, and by how their times are written."""

    file: EntityFile
    rows: int = 0
    wrong: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    # By the column: the first row with a time without a zone, and the first with one.
    naive: dict[str, int] = field(default_factory=dict)
    aware: dict[str, int] = field(default_factory=dict)

    def note(self, column: str, mask: pa.Array, message: str, remedy: str) -> None:
        found = pc.indices_nonzero(mask).to_pylist()
        if found:
            rows = self.wrong.setdefault((column, message, remedy), [])
            rows += [self.rows + index + 1 for index in found]

    def note_zones(self, column: str, aware: pa.Array) -> None:
        """Of the times that can be read: which have a zone, null for the others."""
        for mask, first in ((aware, self.aware), (pc.invert(aware), self.naive)):
            found = pc.index(mask.fill_null(False), value=True).as_py()
            if found >= 0:
                first.setdefault(column, self.rows + found + 1)

    def refuse(self) -> None:
        """Raises InputError with everything that was found."""
        problems = [
            Problem(self.file.place, 0, column, f"{rows_named(rows)} {message}", remedy)
            for (column, message, remedy), rows in self.wrong.items()
        ]
        if problems := [*self._mixed_zones(), *problems]:
            raise InputError(problems)

    def _mixed_zones(self) -> Iterator[Problem]:
        """Columns of times with a zone and without."""
        remedy = "write all with their zone, like 2026-01-01T00:00:00Z, or all without, which means UTC"
        for column in sorted(self.naive.keys() & self.aware.keys()):
            rows = f"with a zone (row {self.aware[column]} first) and without (row {self.naive[column]} first)"
            yield Problem(self.file.place, 0, column, f"has times {rows}", remedy)


def rows_named(rows: Sequence[int]) -> str:
    """`row 3`, `rows 3 and 4`, `rows 1, 2, 3, 4, 5 and 12 more`."""
    named = [str(row) for row in rows[:_MOST_NAMED]]
    if len(rows) > _MOST_NAMED:
        return f"rows {', '.join(named)} and {len(rows) - _MOST_NAMED} more"
    return f"row {named[0]}" if len(named) == 1 else f"rows {', '.join(named[:-1])} and {named[-1]}"


def check_columns(file: EntityFile, columns: EntityColumns) -> None:
    """Raises InputError for a join key, or a time, that the file has no column for."""
    has = f"its columns are {', '.join(file.schema.names[:12])}"
    problems = [
        Problem(file.place, 0, "", f"has no column {name!r}, a join key of what is asked for", has)
        for name in columns.keys
        if name not in file.schema.names
    ]
    if columns.time and columns.time not in file.schema.names:
        remedy = f"name the column of times with --timestamp-column; {has}"
        problems.append(Problem(file.place, 0, "", f"has no column {columns.time!r}", remedy))
    problems += [
        Problem(file.place, 0, name, "is Bytes, which CSV has no form for", "write the entities as Parquet or Arrow")
        for name, kind in columns.keys.items()
        if file.is_csv and kind == "Bytes"
    ]
    if problems:
        raise InputError(problems)


def look_at(file: EntityFile, columns: EntityColumns) -> tuple[int, int, int]:
    """Look at every row: how many there are, and the first and last time in microseconds since 1970 (0 without times).

    The types of a CSV's other columns are settled by it. Raises InputError with every problem found.
    """
    check_columns(file, columns)
    seen = _Seen(file)
    others = [name for name in file.schema.names if name not in columns.keys and name != columns.time]
    types = CsvTypes(others if file.is_csv else [])
    first, last = 2**63 - 1, -(2**63)
    for batch in file.batches(BATCH_ROWS):
        times, _ = _values(batch, columns, seen)
        if times is not None and times.null_count < len(times):
            bounds = pc.min_max(times.cast(pa.int64()))
            first, last = min(first, bounds["min"].as_py()), max(last, bounds["max"].as_py())
        types.see(batch)
        seen.rows += batch.num_rows
    if not seen.rows:
        raise no_rows(file)
    seen.refuse()
    if file.is_csv:
        numbers = {name: pa.int64() for name, kind in columns.keys.items() if kind in _NUMBERS}
        file.settle({**types.found(), **numbers})
    return (seen.rows, first, last) if columns.time else (seen.rows, 0, 0)


def entities(
    file: EntityFile, columns: EntityColumns, rows: int
) -> Iterator[tuple[pa.RecordBatch, pa.Array, Mapping[str, pa.Array]]]:
    """Rows as they are in the file, with their times as timestamp[us, UTC] (none without a column) and join keys in the
    form of `conform`. What `look_at` let pass raises nothing here.
    """
    for batch in file.batches(rows):
        seen = _Seen(file)
        times, keys = _values(batch, columns, seen)
        seen.refuse()
        yield batch, times, keys


def _values(batch: pa.RecordBatch, columns: EntityColumns, seen: _Seen) -> tuple[pa.Array | None, dict[str, pa.Array]]:
    keys = {name: _key(batch.column(name), name, kind, seen) for name, kind in columns.keys.items()}
    return (_times(batch.column(columns.time), columns.time, seen) if columns.time else None), keys


def _key(values: pa.Array, name: str, kind: str, seen: _Seen) -> pa.Array:
    remedy = f"give every row a value of type {kind}"
    seen.note(name, values.is_null(), "without a value of the join key", remedy)
    wanted = parse_type(kind)
    if seen.file.is_csv and kind != "String" and pa.types.is_string(values.type):
        values = _parsed(values, name, kind, seen)
    try:
        found = conform(values, wanted)
    except WrongType:
        message = f"is a column of {values.type}, and the join key is {kind}"
        raise InputError([Problem(seen.file.place, 0, name, message, f"write it as {kind}")]) from None
    if found.wrong is not None:
        seen.note(name, pa.array(found.wrong), f"with a value that {found.why}, and the join key is {kind}", remedy)
    return found.column


def _parsed(texts: pa.Array, name: str, kind: str, seen: _Seen) -> pa.Array:
    """A CSV's texts as the values of a join key."""
    if kind == "UnixTimestamp":
        return _times(texts, name, seen)
    numbers = pc.match_substring_regex(texts, r"^-?[0-9]{1,19}$")
    remedy = f"give every row a value of type {kind}"
    seen.note(name, pc.invert(numbers).fill_null(False), f"with no whole number, and the join key is {kind}", remedy)
    chosen = pc.if_else(numbers, texts, None)
    try:
        return chosen.cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits, which Decimal holds
        return chosen.cast(pa.decimal128(38, 0)).cast(pa.float64(), safe=False)


def _times(values: pa.Array, name: str, seen: _Seen) -> pa.Array:
    """Times as timestamp[us, UTC]; a time without a zone is UTC, a date its midnight."""
    seen.note(name, values.is_null(), "without a time", "give every row its time")
    found = _read(values, name, seen)
    ticks = found.cast(pa.int64())
    beyond = pc.or_(pc.less(ticks, _EARLIEST), pc.greater(ticks, _LATEST)).fill_null(False)
    seen.note(name, beyond, "with a time that is not of the years 1 to 9999", "give every row the time of its features")
    return found


def _read(values: pa.Array, name: str, seen: _Seen) -> pa.Array:
    kind = values.type
    if pa.types.is_date(kind):
        return values.cast(_NAIVE).cast(_AWARE)
    if pa.types.is_timestamp(kind):
        return values.cast(_AWARE, safe=False)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        message = f"is a column of {kind}, not of times"
        raise InputError([Problem(seen.file.place, 0, name, message, "write timestamps, or ISO 8601 texts")])
    texts = pc.utf8_trim_whitespace(values.cast(pa.string()))
    # Digits behind the microsecond, which pandas writes, are cut as pandas cuts them: Arrow reads no such text.
    texts = pc.replace_substring_regex(texts, r"(:[0-9]{2}\.[0-9]{6})[0-9]+", r"\1")
    aware = pc.match_substring_regex(texts, r"[0-9]([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$")
    # A date alone ends in -02, like a zone.
    aware = pc.and_kleene(aware, pc.invert(pc.match_substring_regex(texts, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")))
    zoned, plain = _cast(pc.if_else(aware, texts, None), _AWARE), _cast(pc.if_else(aware, None, texts), _NAIVE)
    found = pc.coalesce(zoned, plain.cast(_AWARE))
    seen.note_zones(name, pc.if_else(found.is_valid(), aware, None))
    unread = pc.and_(found.is_null(), values.is_valid())
    seen.note(name, unread, "with a time that cannot be read", "write ISO 8601, like 2026-01-01T00:00:00Z")
    return found


def _cast(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Each text as a time, null where it is none."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return pa.array([_one(text, kind) for text in texts], pa.int64()).cast(kind)


def _one(text: pa.Scalar, kind: pa.DataType) -> int | None:
    try:
        return text.cast(kind).cast(pa.int64()).as_py()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return None
