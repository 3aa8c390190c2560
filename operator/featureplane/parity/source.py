"""What a view's source says: the newest row of each sampled entity, encoded as a run would write it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from featureplane.materialization.checks import Checks, Rejected
from featureplane.materialization.encoding.conforming import Conforming, conform_in, conformed, whole
from featureplane.materialization.encoding.encoder import ViewEncoder, serialized
from featureplane.materialization.encoding.ragged import join
from featureplane.materialization.readers.among import FewKeys, few_keys
from featureplane.materialization.readers.opening import Places, open_reader
from featureplane.materialization.readers.times import as_event_time
from featureplane.materialization.rows import EVENT_TIME, View, Window
from featureplane.model.types import parse_type
from featureplane.parity.judging import SourceRow
from featureplane.parity.sample import Sample


@dataclass(frozen=True)
class Sampled:
    """The sampled entities by their keys in Redis: the values of their join keys, and their rows but for those that no
    run copies, because a check or a type refuses them.
    """

    rows: Mapping[bytes, SourceRow]
    values: Mapping[bytes, tuple[Any, ...]]


NOTHING = Sampled({}, {})


def sampled(view: View, window: Window, places: Places, sample: Sample[pa.RecordBatch]) -> Sampled:
    """Read the window: of files everything once, of a table the keys and then the rows of those that are chosen.

    Raises SourceError, StoreUnavailable.
    """
    created = view.source["created_timestamp_column"]
    # No feature has the name of a column of times.
    read = replace(view, features=(*view.features, (created, "UnixTimestamp"))) if created else view
    if view.source["type"] == "file":
        rows, schema = _chosen(read, window, places, sample)
    else:
        found, _ = _chosen(replace(view, features=()), window, places, sample)
        if not found:
            return NOTHING
        keys = few_keys({name: each.column for name, each in _keys(batch, view).items()} for batch in found.values())
        rows, schema = _chosen(read, window, places, Sample(len(found), 0, found.keys()), keys)
        rows = {key: row for key, row in rows.items() if key in found}
    batches = list(rows.values()) or [pa.RecordBatch.from_pylist([], schema)]
    return _encoded(list(rows), pa.concat_batches(batches), view, created)


def _chosen(
    view: View, window: Window, places: Places, sample: Sample[pa.RecordBatch], keys: FewKeys | None = None
) -> tuple[dict[bytes, pa.RecordBatch], pa.Schema]:
    """The sampled rows of a window, each by its key, and the columns that they have."""
    encoder = ViewEncoder(view)
    with open_reader(view, window, places, keys=keys) as reader:
        for batch in reader.batches():
            _look(batch, view, encoder, sample)
        return sample.rows(), reader.schema


def _look(batch: pa.RecordBatch, view: View, encoder: ViewEncoder, sample: Sample[pa.RecordBatch]) -> None:
    found = _keys(batch, view)
    wrong = [each.wrong for each in found.values() if each.wrong is not None]
    if wrong and (unfit := np.logical_or.reduce(wrong)).any():  # no entity has such a key: a run leaves the row out
        _look(batch.filter(pa.array(~unfit)), view, encoder, sample)
        return
    keys = encoder.keys({name: each.column for name, each in found.items()}).to_pylist()

    def pick(places: list[int]) -> list[pa.RecordBatch]:
        # A copy: a part of the batch would hold the memory of all of it.
        chosen = batch.take(pa.array(places, pa.int64()))
        return [chosen.slice(row, 1) for row in range(len(places))]

    sample.take(keys, batch.column(EVENT_TIME).cast(pa.int64()).to_pylist(), pick)


def _keys(batch: pa.RecordBatch, view: View) -> dict[str, Conforming]:
    return {name: whole(conform_in(batch, name, view)) for name, _ in view.keys}


def _encoded(keys: Sequence[bytes], batch: pa.RecordBatch, view: View, created: str) -> Sampled:
    columns = conformed(batch, view)
    rows = encoded(columns, batch, view, created)
    names = [columns[name].column.to_pylist() for name, _ in view.keys]
    return Sampled(
        {key: row for key, row in zip(keys, rows, strict=True) if row.is_copied},
        {keys[row]: tuple(each[row] for each in names) for row in range(len(keys))},
    )


def encoded(columns: Mapping[str, Conforming], batch: pa.RecordBatch, view: View, created: str) -> list[SourceRow]:
    """The rows of a batch of the view's source, given its `columns` in their types; `created` names the one that says
    when rows came, and is empty where there is none.
    """
    passing = Checks(view.checks).passing(columns, Rejected())
    features = [_serialized(columns[name].column, kind) for name, kind in view.features]
    times = batch.column(EVENT_TIME).cast(pa.int64()).to_pylist()
    came = as_event_time(batch.column(created)).cast(pa.int64()).to_pylist() if created else [None] * len(times)
    return [
        SourceRow(times[row], [each[row] for each in features], came[row], passing is None or bool(passing[row]))
        for row in range(len(times))
    ]


def _serialized(column: pa.Array, kind: str) -> list[bytes]:
    return list(join(len(column), [serialized(column, parse_type(kind))]).to_pylist()) if len(column) else []
