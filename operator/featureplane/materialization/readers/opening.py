"""Opening what reads a view's source, whatever kind that is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from featureplane.materialization.readers.duck import open_duckdb
from featureplane.materialization.readers.file_reader import FileReader
from featureplane.materialization.readers.joined_reader import JoinedReader
from featureplane.materialization.readers.reader import BATCH_ROWS, ReaderWithSchema
from featureplane.materialization.readers.scan import open_scan
from featureplane.materialization.rows import View, Window
from featureplane.settings import PostgresAddress

_MEMORY_MB = 192
# Rows that a view's table takes in one step.
_JOINED_ROWS = 50_000


@contextmanager
def open_reader(  # noqa: PLR0913
    view: View,
    window: Window,
    *,
    repo_path: Path,
    offline: PostgresAddress,
    scratch: Path | None = None,
    memory_mb: int = _MEMORY_MB,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[ReaderWithSchema]:
    """The latest rows of a view in a window. Reading begins with the first batch.

    A relative path of files is below `repo_path`. Finding the latest rows of files takes up to `memory_mb` megabytes,
    and space below `scratch` (the system's folder for temporary files unless given) for what they do not hold;
    `offline` is the database with the source tables. Raises SourceError for a source that the view cannot be read
    from, StoreUnavailable for a database that does not answer.
    """
    if view.source["type"] == "postgres":
        # Its driver brings pandas: a run over files alone spares itself the time and the memory.
        from featureplane.materialization.readers.postgres import open_postgres
        from featureplane.materialization.readers.postgres_reader import PostgresReader
        from featureplane.materialization.readers.table import open_table

        with open_postgres(offline) as database:
            yield PostgresReader(database, open_table(database, view), view, window, batch_rows)
        return
    with open_duckdb(scratch, memory_mb=memory_mb, threads=threads) as duck:
        yield FileReader(duck, open_scan(duck, view, repo_path), view, window, batch_rows)


@contextmanager
def open_joined(  # noqa: PLR0913
    views: Sequence[View],
    windows: Sequence[Window],
    *,
    repo_path: Path,
    offline: PostgresAddress,
    scratch: Path | None = None,
    memory_mb: int = _MEMORY_MB,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[JoinedReader]:
    """The latest rows of views with the same join keys, each in its window, as one stream of their entities.

    All views are read before the first batch; `memory_mb` is for reading and for keeping them together.
    Its batches raise what `open_reader` and its readers raise.
    """
    half = max(memory_mb // 2, 1)
    readers = [
        partial(
            open_reader,
            view,
            window,
            repo_path=repo_path,
            offline=offline,
            scratch=scratch,
            memory_mb=half,
            threads=threads,
            batch_rows=_JOINED_ROWS,
        )
        for view, window in zip(views, windows, strict=True)
    ]
    with open_duckdb(scratch, memory_mb=half, threads=threads) as duck:
        duck.confine([])
        yield JoinedReader(duck, views, readers, half, batch_rows)
