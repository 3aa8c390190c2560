"""A training set, from a file of entities to a file with their features: looked at, joined and written in pieces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.materialization.readers.among import FewKeys, few_keys
from featureplane.materialization.readers.opening import Places
from featureplane.training.duplicates import refuse_duplicates
from featureplane.training.entity_files import EntityFile
from featureplane.training.history import Span
from featureplane.training.joining import Moments, moment
from featureplane.training.moments import EntityColumns, entities, look_at
from featureplane.training.opening import MEMORY_MB, Histories, Wanted, key_types, open_histories
from featureplane.training.output import TableWriter

# Rows that are joined in one step, and values in them: a piece is in memory as a whole.
_MOST_ROWS = 100_000
_MOST_VALUES = 4_000_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Made:
    """How many rows a training set has, and how many of them have no value, by feature."""

    rows: int
    missing: Mapping[str, int]


@dataclass(frozen=True)
class Order:
    """What is wanted: features of views, `view:feature` by the names of their columns, for the entities of a file."""

    wanted: Sequence[Wanted]
    features: Mapping[str, str]
    file: EntityFile
    time: str
    allow_duplicates: bool = False
    memory_mb: int = MEMORY_MB

    @property
    def entity_columns(self) -> EntityColumns:
        """Raises FeatureplaneError where views disagree on the type of a join key."""
        return EntityColumns(key_types(self.wanted), self.time)

    @property
    def rows_at_once(self) -> int:
        return max(min(_MOST_ROWS, _MOST_VALUES // len(self.features)), 1)


def check_names(order: Order) -> None:
    """Raises InputError where a feature would have the name of a column that the file has."""
    if same := [name for name in order.features if name in order.file.schema.names]:
        remedy = "rename the column, or tell them apart with --full-feature-names"
        raise InputError(
            [Problem(order.file.place, 0, name, "is the name of a feature as well", remedy) for name in same]
        )


def make(order: Order, places: Places, writer: TableWriter, progress: Progress) -> Made:
    """Write the rows of the file, in their order, with the features of each.

    Raises InputError for a file that cannot be used, SourceError for a source, both before anything is written where
    that can be known.
    """
    check_names(order)
    columns = order.entity_columns
    rows, first, last = look_at(order.file, columns)
    with TemporaryDirectory(prefix="featureplane-training-") as scratch:
        places = replace(places, scratch=Path(scratch))
        if not order.allow_duplicates:
            refuse_duplicates(order.file, places.scratch, order.memory_mb)
        span = Span(moment(first), moment(last))
        with open_histories(order.wanted, span, places, order.memory_mb, _keys(order, columns)) as histories:
            made = _write(order, histories, writer, rows, progress)
    order.file.check()
    return made


def _keys(order: Order, columns: EntityColumns) -> FewKeys:
    """What a database may leave out rows by; of files each piece of entities has its own."""
    if all(each.view.source["type"] == "file" for each in order.wanted):
        return {}
    return few_keys(keys for _, _, keys in entities(order.file, EntityColumns(columns.keys), order.rows_at_once))


def _write(order: Order, histories: Histories, writer: TableWriter, rows: int, progress: Progress) -> Made:
    missing = dict.fromkeys(order.features, 0)
    done = 0
    progress(done, rows)
    for batch, times, keys in entities(order.file, order.entity_columns, order.rows_at_once):
        found = histories.features_at(Moments(times, keys))
        # The column of times in its one form.
        table = pa.Table.from_batches([batch])
        table = table.set_column(table.schema.get_field_index(order.time), order.time, times)
        for name, reference in order.features.items():
            missing[name] += found[reference].null_count
            table = table.append_column(name, found[reference])
        writer.write(table)
        done += batch.num_rows
        progress(done, rows)
    if done != rows:
        raise FeatureplaneError(f"{order.file.place} was changed while it was read; run again")
    return Made(done, missing)
