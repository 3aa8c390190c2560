"""What can be wrong with a source while it is read, in words that say where and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from featureplane.errors import FeatureplaneError, SourceChanged, SourceError
from featureplane.object_store import trouble

_LONGEST = 300


def first_line(error: BaseException) -> str:
    """The reason in a library's words, in one line of bounded length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]


def cancelled(place: str) -> FeatureplaneError:
    """What reading the source at `place` raises once it is to end."""
    return FeatureplaneError(f"{place} was not read to its end: this was cancelled")


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Turn what DuckDB and file systems raise about the source at `place` into SourceError."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise SourceError(
            f"{place} cannot be sorted for its latest rows: memory and scratch space are used up "
            f"({first_line(error)}); give the run more of either, or a shorter window"
        ) from error
    except duckdb.InterruptException as error:
        raise cancelled(place) from error
    except duckdb.Error as error:
        raise _unreadable(place, error) from error
    except FileNotFoundError as error:
        raise SourceChanged(f"{place} lost a file while it was read; run again") from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(place, error) from error


def _unreadable(place: str, error: Exception) -> SourceError:
    if "No space left on device" in str(error):
        return SourceError(
            f"{place} cannot be sorted for its latest rows: the scratch disk is full; give it more space"
        )
    if reason := trouble(place, str(error)):
        return SourceError(f"{place} cannot be read: {reason}")
    return SourceError(f"{place} cannot be read: {first_line(error)}; check the files, and spec.source.file.format")
