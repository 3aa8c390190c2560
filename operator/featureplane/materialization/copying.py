"""One view's run, or that of several of one entity: latest rows, checked, encoded and written, a batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pyarrow as pa

from featureplane.errors import FeatureplaneError, ServerReplaced, SourceChanged
from featureplane.materialization.checks import Checks, Rejected
from featureplane.materialization.encoding.conforming import conform_in, conformed
from featureplane.materialization.encoding.encoded import Encoded, Part
from featureplane.materialization.encoding.encoder import ViewEncoder
from featureplane.materialization.encoding.ragged import lengths
from featureplane.materialization.prefetch import prefetched
from featureplane.materialization.readers.reader import Reader, Seen
from featureplane.materialization.rows import EVENT_TIME, View
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.writer import Writer, open_writer
from featureplane.online.expiry import Expiry
from featureplane.online.layout import time_field
from featureplane.settings import RedisAddress

# A server that came back without what was written, or a source that was replaced meanwhile, takes the copy from its
# beginning, but not for ever.
_BEGINNINGS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Source(Protocol):
    """Rows of one view, or of several with the same join keys.

    `counts` are those of each view, complete when the batches are exhausted. A step of `batches` has a batch for each
    view, all with the same entities in the same order; an entity that a view does not have lacks its event time there.
    """

    @property
    def counts(self) -> Sequence[Seen]: ...

    def batches(self) -> Iterator[list[pa.RecordBatch]]: ...

    def cancel(self) -> None:
        """Make the reading that another thread does raise soon."""


# Opens what reads the rows to copy; a copy that begins anew opens it again.
Opening = Callable[[], AbstractContextManager[Reader]]
OpeningOfMany = Callable[[], AbstractContextManager[Source]]


@dataclass(frozen=True)
class WriteOptions:
    """How a view is written.

    `atomic`: others write the view too. `overwrite`: whatever is stored, however new it is, gives way. `expiry`: see
    the writer; None where no view with these join keys expires. `patience`: seconds that a store that is away is waited
    for.
    """

    atomic: bool = False
    overwrite: bool = False
    expiry: Expiry | None = None
    patience: float = 60.0


@dataclass(frozen=True)
class Copied:
    """What became of the rows. Of those read, some are not the latest of their entity; of the latest, each is
    written, skipped (something newer is stored), rejected or expired. `newest` is the newest event time sent. None is
    not known: Feast's own engine counts little, and nothing where its rows are written on other machines.
    """

    written: int | None
    newest: datetime | None
    message: str = ""
    read: int | None = None
    skipped: int | None = None
    rejected: int | None = None
    late: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Watch:
    """Who looks on: `still_held` raises where the run lost its lock, `on_rows` is told how many rows are done."""

    still_held: Callable[[], None] = lambda: None
    on_rows: Callable[[int], None] = lambda _: None


def copy(
    view: View, opening: Opening, online: RedisAddress, options: WriteOptions, watch: Watch | None = None
) -> Copied:
    """Copy the rows of a view's source.

    Raises SourceError, StoreUnavailable, WriteRefused. What was written by then stays, newest event first as ever:
    doing all of it again does no harm.
    """
    checks = Checks(view.checks)

    @contextmanager
    def checked() -> Iterator[Source]:
        with opening() as reader:
            _refuse_too_many_nulls(reader, checks)
            yield _OfOne(reader)

    (copied,) = copy_together([view], checked, online, options, watch)
    if isinstance(copied, FeatureplaneError):
        raise copied
    return copied


def copy_together(
    views: Sequence[View],
    opening: OpeningOfMany,
    online: RedisAddress,
    options: WriteOptions,
    watch: Watch | None = None,
) -> list[Copied | FeatureplaneError]:
    """Copy views with the same join keys, each entity with one command. Says of each view what became of it.

    Raises as `copy` does where that is about all of them. A limit of nulls is not asked about: see `Checks.limits`.
    """
    for left in reversed(range(_BEGINNINGS)):
        try:
            return _copy(views, opening, online, options, watch or Watch())
        except (ServerReplaced, SourceChanged):
            if not left:
                raise
    raise AssertionError("the last attempt returned or raised")


def _copy(
    views: Sequence[View], opening: OpeningOfMany, online: RedisAddress, options: WriteOptions, watch: Watch
) -> list[Copied | FeatureplaneError]:
    shares = [_OfView(view) for view in views]
    with opening() as source:
        with (
            open_writer(
                online,
                atomic=options.atomic,
                overwrite=options.overwrite,
                expiry=options.expiry,
                limits=Limits(patience=options.patience),
            ) as writer,
            prefetched(_encoded(source, shares), cancel=source.cancel, on_wait=watch.still_held) as encoded,
        ):
            done = 0
            for rows in encoded:
                watch.still_held()
                writer.write(rows)
                done += len(rows)
                watch.on_rows(done)
            watch.still_held()
            writer.flush()
        return [share.ended(seen, writer) for share, seen in zip(shares, source.counts, strict=True)]


class _OfOne:
    """A reader of one view as a Source."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def counts(self) -> Sequence[Seen]:
        return [self._reader.counts]

    def batches(self) -> Iterator[list[pa.RecordBatch]]:
        return ([batch] for batch in self._reader.batches())

    def cancel(self) -> None:
        self._reader.cancel()


def _encoded(source: Source, shares: Sequence["_OfView"]) -> Iterator[Encoded]:
    for batches in source.batches():
        parts = [share.part(batch) for share, batch in zip(shares, batches, strict=True)]
        yield Encoded(shares[0].keys(batches[0]), tuple(parts))


class _OfView:
    """One view's part of a copy, and what was seen of it on the way."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._encoder = ViewEncoder(view)
        self._checks = Checks(view.checks)
        self._rejected = Rejected()
        self._newest: int | None = None
        self._bytes = 0

    def part(self, batch: pa.RecordBatch) -> Part:
        """The rows that are there and pass every check; the others are noted."""
        columns = conformed(batch, self.view)
        times = batch.column(EVENT_TIME)
        there = times.is_valid().to_numpy(zero_copy_only=False) if times.null_count else None
        present = self._checks.passing(columns, self._rejected, there)
        micros = times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        part = self._encoder.encode({name: columns[name].column for name, _ in self.view.features}, micros, present)
        seen = micros if present is None else micros[present]
        if len(seen):
            self._newest = max(int(seen.max()), self._newest if self._newest is not None else int(seen[0]))
            sizes = lengths(part.body)
            self._bytes += int((sizes if present is None else sizes[present]).sum())
        return part

    def keys(self, batch: pa.RecordBatch) -> pa.BinaryArray:
        """The rows' keys; one that cannot be (its row is rejected) is that of some other value."""
        columns = {name: conform_in(batch, name, self.view).column for name, _ in self.view.keys}
        return self._encoder.keys(
            {name: column.fill_null(0) if column.null_count else column for name, column in columns.items()}
        )

    def ended(self, seen: Seen, writer: Writer) -> Copied | FeatureplaneError:
        rejected, field = self._rejected, time_field(self.view.name)
        rejected.add(seen.rejected)
        if rejected.rows and rejected.rows == seen.latest:
            return FeatureplaneError(f"nothing was written: all of its {rejected}")
        return Copied(
            written=writer.written[field],
            newest=None if self._newest is None else _EPOCH + timedelta(microseconds=self._newest),
            message="; ".join(_remarks(seen, rejected, writer.expired[field])),
            read=seen.read,
            skipped=writer.skipped[field],
            rejected=rejected.rows,
            late=seen.late,
            bytes=self._bytes,
        )


def _refuse_too_many_nulls(reader: Reader, checks: Checks) -> None:
    if not checks.limits:
        return
    found = reader.null_counts(list(checks.limits))
    if why := checks.over_limit(found.rows, found.nulls):
        raise FeatureplaneError(f"nothing was written, the last good values stay: {why}")


def _remarks(counts: Seen, rejected: Rejected, expired: int) -> Iterator[str]:
    if rejected.rows:
        yield str(rejected)
    if counts.keyless:
        yield f"{counts.keyless} rows have no join key and were left out"
    if counts.late:
        yield f"{counts.late} rows came later than the window reaches back; run with a longer --window to copy them"
    if counts.future:
        yield f"{counts.future} rows lie in the future and wait for their time"
    if expired:
        yield f"{expired} rows are older than the view's ttl"
