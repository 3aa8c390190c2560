"""Opening what reads a view's source, whatever kind that is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from featureplane.errors import SourceError
from featureplane.materialization.readers.among import FewKeys
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.duck import open_duckdb
from featureplane.materialization.readers.file_reader import FileReader
from featureplane.materialization.readers.joined_reader import JoinedReader, about
from featureplane.materialization.readers.reader import BATCH_ROWS, ReaderWithSchema
from featureplane.materialization.readers.scan import Found, find_source, open_scan
from featureplane.materialization.readers.spark import Spark
from featureplane.materialization.readers.table import open_table
from featureplane.materialization.readers.table_reader import TableReader
from featureplane.materialization.rows import View, Window
from featureplane.settings import PostgresAddress

_MEMORY_MB = 192
# What of them may hold the rows of joined views, and how many rows of a view are read in one step for that.
_HELD_MB = 64
_JOINED_ROWS = 50_000


@dataclass(frozen=True)
class Places:
    """Where sources are: relative paths below `repo_path`, tables in the `offline` database.

    What memory does not hold of files while their latest rows are found goes below `scratch` (the system's folder for
    temporary files unless given). `spark` reads the tables of Spark's catalogs, where the project has any.
    """

    repo_path: Path
    offline: PostgresAddress
    scratch: Path | None = None
    spark: Spark | None = None


@contextmanager
def open_database(view: View, places: Places) -> Iterator[Database]:
    """What holds the table of a view's source. Raises SourceError where there is no way to it."""
    if view.source["type"] == "spark":
        if places.spark is None:
            raise SourceError(
                f"table {view.source['table']} (of {view.name}) is Spark's, and the project does not read by Spark; "
                "set the FeastProject's offlineStore.type to spark"
            )
        yield places.spark
        return
    # Its driver brings pandas: a run over files alone spares itself the time and the memory.
    from featureplane.materialization.readers.postgres import open_postgres

    with open_postgres(places.offline) as database:
        yield database


@contextmanager
def open_reader(  # noqa: PLR0913
    view: View,
    window: Window,
    places: Places,
    *,
    memory_mb: int = _MEMORY_MB,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
    keys: FewKeys | None = None,
) -> Iterator[ReaderWithSchema]:
    """The latest rows of a view in a window. Reading begins with the first batch. Rows of a table that have none of
    these `keys` may be left out.

    Finding the latest rows of files takes up to `memory_mb` megabytes. Raises SourceError for a source that the view
    cannot be read from, StoreUnavailable for a database that does not answer.
    """
    if view.source["type"] != "file":
        with open_database(view, places) as database:
            yield TableReader(database, open_table(database, view), view, window, batch_rows, keys)
        return
    with open_duckdb(places.scratch, memory_mb=memory_mb, threads=threads) as duck:
        found = find_source(view, places.repo_path)
        duck.confine([found.files])
        yield FileReader(duck, open_scan(duck, view, found), view, window, batch_rows)


@contextmanager
def open_joined(  # noqa: PLR0913
    views: Sequence[View],
    windows: Sequence[Window],
    places: Places,
    *,
    memory_mb: int = _MEMORY_MB,
    held_bytes: int = _HELD_MB * 1024 * 1024,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[JoinedReader]:
    """The latest rows of views with the same join keys, each of files here and in its window, as one stream.

    All views are read before the first batch. Reading takes up to `memory_mb` megabytes, and `held_bytes` of them are
    for the rows; those that do not fit go to the scratch disk. Raises what `open_reader` and its readers raise, and
    ViewUnreadable where that is about one of the views.
    """
    with open_duckdb(places.scratch, memory_mb=memory_mb - held_bytes // (1024 * 1024), threads=threads) as duck:
        sources = []
        for view in views:
            with about(view):
                sources.append(find_source(view, places.repo_path))
        duck.confine([found.files for found in sources])

        def begin(view: View, window: Window, found: Found) -> FileReader:
            return FileReader(duck, open_scan(duck, view, found), view, window, _JOINED_ROWS)

        readers = [partial(begin, *each) for each in zip(views, windows, sources, strict=True)]
        yield JoinedReader(duck, views, readers, held_bytes, batch_rows)
