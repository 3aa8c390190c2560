"""Online rows of a file's entities: asked of a server a piece at a time, with each value in its feature's type."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.materialization.readers.times import UTC_MICROSECONDS
from featureplane.model.types import FeatureType, parse_type
from featureplane.training.entity_files import EntityFile
from featureplane.training.making import Made, Progress
from featureplane.training.moments import EntityColumns, entities, look_at
from featureplane.training.output import TableWriter

# Less than a server answers for at once (see `serving.reading.reader`): others want it meanwhile.
_MOST_ROWS = 2_000
_MOST_VALUES = 200_000
_STATUS, _EVENT_TIME = "status", "event_timestamp"
_EPOCH = "1970-01-01T00:00:00Z"

# A request in Feast's form to the answer in Feast's form.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Export:
    """What is wanted: features, `view:feature` by the names of their columns, with their types by `view:feature`.

    `service` is empty where features were named one by one.
    """

    features: Mapping[str, str]
    types: Mapping[str, str]
    keys: Mapping[str, str]
    service: str
    file: EntityFile
    statuses: bool = False
    event_times: bool = False

    @property
    def rows_at_once(self) -> int:
        return max(min(_MOST_ROWS, _MOST_VALUES // max(len(self.features), 1)), 1)

    @property
    def columns(self) -> list[str]:
        """The names of all columns beside the file's own."""
        more = [*([_STATUS] if self.statuses else []), *([_EVENT_TIME] if self.event_times else [])]
        return [column for name in self.features for column in (name, *(f"{name}__{each}" for each in more))]


def export(order: Export, ask: Ask, writer: TableWriter, progress: Progress) -> Made:
    """Write the rows of the file, in their order, with what is online of each. Raises InputError, and as `ask`."""
    _refuse(order)
    columns = EntityColumns(order.keys)
    rows, _, _ = look_at(order.file, columns)
    missing = dict.fromkeys(order.features, 0)
    done = 0
    progress(done, rows)
    for batch, _, keys in entities(order.file, columns, order.rows_at_once):
        table = pa.Table.from_batches([batch])
        for name, column in _asked(order, keys, ask):
            table = table.append_column(name, column)
            if name in missing:
                missing[name] += column.null_count
        writer.write(table)
        done += batch.num_rows
        progress(done, rows)
    order.file.check()
    return Made(done, missing)


def _refuse(order: Export) -> None:
    path, there = order.file.place, order.file.schema.names
    problems = [
        Problem(path, 0, name, "is the name of a feature as well", "rename the column, or use --full-feature-names")
        for name in order.columns
        if name in there
    ]
    problems += [
        Problem(path, 0, name, "is a join key of Bytes, which can be asked for over gRPC alone", "ask over gRPC")
        for name, kind in order.keys.items()
        if kind == "Bytes"
    ]
    if problems:
        raise InputError(problems)


def _asked(order: Export, keys: Mapping[str, pa.Array], ask: Ask) -> Iterator[tuple[str, pa.Array]]:
    asked = {"feature_service": order.service} if order.service else {"features": list(order.features.values())}
    request = {**asked, "entities": {name: values.to_pylist() for name, values in keys.items()}}
    answer = ask({**request, "full_feature_names": True})
    try:
        found = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        for name, reference in order.features.items():
            column = found[reference.replace(":", "__")]
            yield name, typed(column["values"], parse_type(order.types[reference]))
            if order.statuses:
                yield f"{name}__{_STATUS}", pa.array(column["statuses"], pa.string())
            if order.event_times:
                yield f"{name}__{_EVENT_TIME}", _event_times(column["event_timestamps"])
    except (LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise FeatureplaneError(f"the server's answer has not the form of Feast's ({error!r})") from error


def _event_times(texts: Sequence[str]) -> pa.Array:
    """Times of the answer; that of 1970, which Feast writes for none, is null."""
    return pa.array([None if text == _EPOCH else text for text in texts], pa.string()).cast(UTC_MICROSECONDS)


def typed(values: Sequence[Any], kind: FeatureType) -> pa.Array:
    """Values as JSON has them in the type of their feature; what has no type of Arrow's is JSON's text."""
    arrow = _ARROW.get(kind.name)
    if arrow is None and kind.name in {"Array", "Set"} and kind.of and kind.of.name in _ARROW:
        of = kind.of
        parts = [None if value is None else typed(value, of) for value in values]
        return pa.array([part and part.to_pylist() for part in parts], pa.list_(_ARROW[of.name]))
    if arrow is None:
        return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
    if kind.name in {"Float32", "Float64"}:
        return pa.array([None if value is None else float(value) for value in values], arrow)
    if pa.types.is_binary(arrow):
        return pa.array([None if value is None else base64.b64decode(value) for value in values], arrow)
    if kind.name == "UnixTimestamp":
        return pa.array(values, pa.int64()).cast(pa.timestamp("s", "UTC")).cast(UTC_MICROSECONDS)
    return pa.array(values, arrow)


_ARROW: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("String", "Uuid", "TimeUuid", "Decimal", "Json", "ZonedTimestamp"), pa.string()),
    **dict.fromkeys(("Bytes", "PdfBytes", "ImageBytes"), pa.binary()),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Bool": pa.bool_(),
    "UnixTimestamp": UTC_MICROSECONDS,
}
