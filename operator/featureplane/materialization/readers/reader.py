"""What a run gets from any source, whatever kind it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa

from featureplane.materialization.checks import Rejected
from featureplane.materialization.readers.times import UTC_MICROSECONDS
from featureplane.materialization.rows import EVENT_TIME, View

# Rows in a batch unless a caller says otherwise: what an encoder and a pipeline to the online store take in one step.
BATCH_ROWS: Final = 5_000


@dataclass
class Seen:
    """What a reader saw: complete when its batches are exhausted.

    `read` rows lie in the window, of which `latest` are the newest of their entity and `keyless` lack a join key, so
    that no entity has them; `late` rows lie before it and were created since the last run, `future` rows after its end.
    Some of the latest may be `rejected` by the reader: they are in no batch.
    """

    read: int = 0
    latest: int = 0
    keyless: int = 0
    late: int = 0
    future: int = 0
    rejected: Rejected = field(default_factory=Rejected)


@dataclass(frozen=True)
class NullCounts:
    """Of `rows` latest rows, how many have no value, by feature. NaN in a float is no value, as Feast takes it."""

    rows: int
    nulls: Mapping[str, int]


def schema_of_batches(view: View, kinds: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns of a view's batches, its keys and features being of these types."""
    fields = [pa.field(name, kinds[name]) for name, _ in (*view.keys, *view.features)]
    return pa.schema([*fields, pa.field(EVENT_TIME, UTC_MICROSECONDS)])


class Reader(Protocol):
    """The latest row of each entity in a view's window.

    A batch has the join keys and features under their names in Feast with the source's types, and EVENT_TIME as
    timestamp[us, UTC] without nulls. No two rows have the same join keys, nor does any lack one. Both methods that read
    may raise SourceError, SourceChanged or StoreUnavailable.
    """

    counts: Seen

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every latest row, once; `counts` is complete when it is exhausted."""
        ...

    def null_counts(self, features: Sequence[str]) -> NullCounts:
        """How many of the rows that `batches` gives lack each of these features; nothing else is read."""
        ...

    def cancel(self) -> None:
        """Let whatever reads end at once, with FeatureplaneError, and let nothing be read any more.

        May be called from another thread, at any time, and more than once.
        """
        ...


class ReaderWithSchema(Reader, Protocol):
    """One that knows its columns before it reads."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of a batch."""
        ...
