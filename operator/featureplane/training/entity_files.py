"""Files of entities: Parquet, CSV or Arrow, read a piece at a time.

Rows are counted from 1, a CSV's header not among them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.materialization.readers.failures import first_line
from featureplane.object_store import fetched, is_address
from featureplane.training.formats import EXTENSIONS, FORMATS

_CSV_BLOCK = 4 << 20
# Narrower first: what a CSV's column becomes, if all of its values can.
_CSV_TYPES = (pa.bool_(), pa.int64(), pa.float64())
# 007 is a code and no number, and so is what a double would cut: the number of a card that 64 bits do not hold.
_CODE, _LONG_CODE = "^[+-]?0[0-9]", "^[+-]?[0-9]{16,}$"


def format_of(place: str, option: str) -> str:
    """The format of a file by its name, here or in an object store. Raises InputError for another extension."""
    suffix = Path(place).suffix
    found = FORMATS.get(suffix.lower())
    if found is None:
        named = f"{suffix!r} is no extension that {option} knows" if suffix else "has no extension"
        raise InputError([Problem(place, 0, "", named, f"name a file that ends in {EXTENSIONS}")])
    return found


@dataclass
class EntityFile:
    """A file that is there; `schema` has a CSV's columns as texts until `settle` says otherwise.

    `place` is what it is called in messages: its path, or where in an object store it was before it was at `path`.
    """

    path: Path
    place: str
    form: str
    schema: pa.Schema
    _stamp: tuple[int, ...] = ()
    _csv_types: dict[str, pa.DataType] = field(default_factory=dict)

    @property
    def is_csv(self) -> bool:
        return self.form == "csv"

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows in batches of at most `rows`. Raises InputError where the file cannot be read."""
        with _reading(self.place):
            for batch in _batches(self.path, self.form, rows, self._csv_types):
                for start in range(0, batch.num_rows, rows):
                    yield batch.slice(start, rows)

    def settle(self, types: dict[str, pa.DataType]) -> None:
        """Read these columns of a CSV as of these types from now on."""
        self._csv_types = types
        self.schema = pa.schema([pa.field(each.name, types.get(each.name, each.type)) for each in self.schema])

    def digest(self) -> str:
        """SHA-256 of the file in hexadecimal."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def check(self) -> None:
        """Raises FeatureplaneError where it was written to since it was opened."""
        if _stamp(self.path) != self._stamp:
            raise FeatureplaneError(f"{self.place} was changed while it was read; run again")


@contextmanager
def entities_at(place: str) -> Iterator[EntityFile]:
    """The file at a path, or one of an object store, which is here while the block runs.

    Raises as `open_entities`, and FeatureplaneError where the store does not give it.
    """
    if not is_address(place):
        yield open_entities(Path(place))
        return
    format_of(place, "--entities")
    with fetched(place) as path:
        yield open_entities(path, place)


def open_entities(path: Path, place: str = "") -> EntityFile:
    """Raises InputError for a file that is not there, of another format, or without any column."""
    place = place or str(path)
    form = format_of(place, "--entities")
    if not path.is_file():
        raise InputError([Problem(place, 0, "", "is not there", "name a file of entities with --entities")])
    with _reading(place):
        if path.stat().st_size == 0:
            raise _empty(place)
        schema = _schema(path, form)
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise InputError([Problem(place, 0, twice[0], "is the name of several columns", "name each column once")])
    return EntityFile(path, place, form, schema, _stamp(path))


def _empty(place: str) -> InputError:
    return InputError([Problem(place, 0, "", "holds no rows", "write a row for each entity")])


def no_rows(file: EntityFile) -> InputError:
    """What is wrong with a file of column names alone."""
    return _empty(file.place)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _reading(place: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        message = f"cannot be read: {first_line(error)}"
        raise InputError([Problem(place, 0, "", message, "check the file and its extension")]) from error
    except OSError as error:
        message = f"cannot be read: {error.strerror or first_line(error)}"
        raise InputError([Problem(place, 0, "", message, "check the file and its permissions")]) from error


def _schema(path: Path, form: str) -> pa.Schema:
    if form == "parquet":
        return pq.read_schema(path).remove_metadata()
    if form == "arrow":
        with pa.OSFile(str(path)) as source:
            return _open_arrow(source).schema.remove_metadata()
    names = _csv_names(path)
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _csv_names(path: Path) -> list[str]:
    with _open_csv(path, {}) as reader:
        return list(reader.schema.names)


def _open_csv(path: Path, types: dict[str, pa.DataType]) -> Any:
    # Arrow would guess types from the first block alone; what a column is called is not known before it is opened.
    read = pa_csv.ReadOptions(block_size=_CSV_BLOCK)
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    convert = pa_csv.ConvertOptions(strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False)
    with pa_csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert) as first:
        names = first.schema.names
    convert.column_types = {name: types.get(name, pa.string()) for name in names}
    return pa_csv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert)


def _open_arrow(source: Any) -> Any:
    """A file of Arrow's, which knows its batches, or a stream of them."""
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _batches(path: Path, form: str, rows: int, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    if form == "parquet":
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows)
    elif form == "arrow":
        with pa.OSFile(str(path)) as source:
            reader = _open_arrow(source)
            count = getattr(reader, "num_record_batches", None)
            yield from reader if count is None else (reader.get_batch(index) for index in range(count))
    else:
        with _open_csv(path, types) as reader:
            yield from reader


class CsvTypes:
    """What the columns of a CSV can be, as far as it was read: the narrowest type that takes all texts of a column."""

    def __init__(self, names: list[str]) -> None:
        self._possible = {name: list(_CSV_TYPES) for name in names}

    def see(self, batch: pa.RecordBatch) -> None:
        for name, possible in self._possible.items():
            possible[:] = [kind for kind in possible if _can_be(batch.column(name), kind)]

    def found(self) -> dict[str, pa.DataType]:
        return {name: possible[0] for name, possible in self._possible.items() if possible}


def _can_be(texts: pa.Array, kind: pa.DataType) -> bool:
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        return False
    codes = f"{_CODE}|{_LONG_CODE}" if kind == pa.float64() else _CODE
    if pc.any(pc.match_substring_regex(texts, codes)).as_py():
        return False
    # 1 is a number and no truth.
    return kind != pa.bool_() or set(texts.unique().to_pylist()) <= {"true", "false", "True", "False", None}
