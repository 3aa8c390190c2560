"""A table that is written a piece at a time and appears whole or not at all: elsewhere first, then in its place."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.materialization.readers.failures import first_line
from featureplane.object_store import check_store, delivered, is_address
from featureplane.training.entity_files import format_of

# Of Parquet, whatever the pieces are that come: as many as readers like to take at a time.
_ROW_GROUP = 100_000
_OWN_ENTITIES = "is the file of --entities, which would be lost"


def check_output(place: str, entities: str) -> str:
    """The format of a file that is to be written.

    Raises InputError or FeatureplaneError where it cannot be, or is that of the entities.
    """
    form = format_of(place, "--out")
    if is_address(place):
        if place == entities:
            raise InputError([_refused(place, _OWN_ENTITIES)])
        check_store(place)
        return form
    path, problem = Path(place), ""
    if path.is_dir():
        problem = "is a folder"
    elif not path.parent.is_dir():
        problem = f"cannot be written: there is no folder {path.parent}"
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        problem = f"cannot be written: the folder {path.parent} may not be written to"
    elif path.exists() and Path(entities).exists() and path.samefile(entities):
        problem = _OWN_ENTITIES
    if problem:
        raise InputError([_refused(place, problem)])
    return form


def _refused(place: str, problem: str) -> Problem:
    return Problem(place, 0, "", problem, "name a file in a folder that is there with --out")


def appearing(place: str) -> AbstractContextManager[Path]:
    """A file to write to that is at `place` once the block ends well, and gone where it does not."""
    return delivered(place) if is_address(place) else _renamed(Path(place))


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".unfinished", dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as stream:
            os.fsync(stream.fileno())
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except OSError as error:
        raise FeatureplaneError(
            f"{path} cannot be written: {error.strerror or error}; nothing was left there"
        ) from error
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _umask() -> int:
    """What a file made by hand would not allow: a temporary one is its owner's alone."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


class TableWriter:
    """Writes tables of one schema, that of the first, as one file."""

    def __init__(self, path: Path, form: str) -> None:
        self._path = path
        self._form = form
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def write(self, table: pa.Table) -> None:
        if self._schema is None:
            self._schema = table.schema
            self._writer = self._open(table.schema)
        self._writer.write_table(table.cast(self._schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, schema: pa.Schema) -> Any:
        if self._form == "parquet":
            return pq.ParquetWriter(self._path, schema, write_batch_size=_ROW_GROUP)
        if self._form == "arrow":
            return pa.ipc.new_file(str(self._path), schema)
        return pa_csv.CSVWriter(self._path, schema)


@contextmanager
def table_appearing(place: str, form: str) -> Iterator[TableWriter]:
    """A table that is there once the block ends well. Raises FeatureplaneError where it cannot be written."""
    with appearing(place) as beside:
        writer = TableWriter(beside, form)
        try:
            yield writer
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:  # a column of the entities' file
            message = f"cannot be written as {form}: {first_line(error)}"
            raise InputError([Problem(place, 0, "", message, "leave the column out, or write Parquet")]) from error
        finally:
            writer.close()


def refuse_lists_in_csv(out: str, form: str, kinds: dict[str, str]) -> None:
    """Raises InputError for columns, by name and type, that CSV has no form for."""
    if form != "csv":
        return
    flat = ("String", "Bool", "Int32", "Int64", "Float32", "Float64", "UnixTimestamp", "Uuid", "TimeUuid", "Decimal")
    if problems := [
        Problem(out, 0, name, f"is {kind}, which CSV has no form for", "write .parquet or .arrow with --out")
        for name, kind in kinds.items()
        if kind not in flat
    ]:
        raise InputError(problems)
