"""Requests that write: in JSON, as Feast's server takes them (feast/feature_server.py), and in its gRPC messages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from featureplane.serving.reading.refusals import Refused

ONLINE, OFFLINE, BOTH = "online", "offline", "online_and_offline"
# Rows that a request may have.
MOST_ROWS = 10_000
# Characters of values that stand once for all rows, in all of them.
_MOST_REPEATED = 16 << 20
_MOST_SHOWN = 60
_MOST_COLUMNS = 20
_DF = "df: write an object of lists, with a value for each row"


@dataclass(frozen=True)
class WriteRequest:
    """Rows for the view of this name, or for all views with this push source: `columns` of `rows` values each, of which
    only slices are taken.
    """

    columns: Mapping[str, Sequence[Any]]
    rows: int
    view: str = ""
    push_source: str = ""
    to: str = ONLINE
    # The field of a message of gRPC that has the one row.
    field: str = ""

    def place(self, column: str, row: int | None) -> str:
        """Where a column, or its value in a row, stands."""
        if self.field:
            return f"{self.field}.{column}"
        return f"df.{column}" if row is None else f"df.{column}[{row}]"


class NoRows(Refused):
    """`df` holds none, in a `request` that says what they were for."""

    def __init__(self, request: WriteRequest, columns: Sequence[str] = ()) -> None:
        self.request = request
        shown = ", ".join(f"{orjson.dumps(name).decode()}: [...]" for name in columns[:_MOST_COLUMNS])
        more = len(columns) - _MOST_COLUMNS
        example = f", like {{{shown}}}{f' and {more} more' if more > 0 else ''}" if columns else ""
        super().__init__(_DF + example)


def push_from_json(body: bytes) -> WriteRequest:
    """The body of `/push`. Raises Refused, naming the field, and NoRows."""
    found = _object(body)
    source = _name(found, "push_source_name")
    to = found.get("to", ONLINE)
    if to not in {ONLINE, OFFLINE, BOTH}:
        raise Refused(f"to: write one of {ONLINE}, {OFFLINE} or {BOTH}")
    return _with_rows(WriteRequest({}, 0, push_source=source, to=to), found.get("df"))


def write_from_json(body: bytes) -> WriteRequest:
    """The body of `/write-to-online-store`. Raises Refused, naming the field, and NoRows."""
    found = _object(body)
    return _with_rows(WriteRequest({}, 0, view=_name(found, "feature_view_name")), found.get("df"))


def with_to(body: bytes, to: str) -> bytes:
    """A push for another store."""
    return orjson.dumps({**orjson.loads(body), "to": to})


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused("the body is no JSON object")
    return found


def _name(found: Mapping[str, Any], field: str) -> str:
    name = found.get(field)
    if not isinstance(name, str) or not name:
        raise Refused(f"{field}: write a name")
    return name


class _Repeated(Sequence[Any]):
    """The same value for every row, however many: a short request must not become a large one here."""

    def __init__(self, value: Any, rows: int) -> None:
        self._value, self._rows = value, rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> Any:
        found = range(self._rows)[index]
        return [self._value] * len(found) if isinstance(found, range) else self._value


def _with_rows(request: WriteRequest, df: Any) -> WriteRequest:
    """Columns of one length. What is no list is the value of every row, as a pandas DataFrame takes it."""
    if not isinstance(df, dict) or not df:
        raise NoRows(request)
    lengths = {name: len(values) for name, values in df.items() if isinstance(values, list)}
    if not lengths:
        raise NoRows(request)
    rows = next(iter(lengths.values()))
    if rows > MOST_ROWS:
        raise Refused(f"{rows} rows are too many for one request; send {MOST_ROWS} at a time", 413)
    if any(length != rows for length in lengths.values()):
        counts = ", ".join(f"{name[:_MOST_SHOWN]} has {length}" for name, length in lengths.items())
        raise Refused(f"df: all columns must have as many values: {counts}")
    repeated = sum(len(values) for values in df.values() if isinstance(values, str))
    if repeated * rows > _MOST_REPEATED:
        raise Refused(f"df: values that stand for all of {rows} rows are too large; send fewer rows at a time", 413)
    for name, values in df.items():
        if isinstance(values, dict):
            raise Refused(f"df.{name[:_MOST_SHOWN]}: write a list, with a value for each row")
        if not isinstance(values, list):
            df[name] = _Repeated(values, rows)
    return replace(request, columns=df, rows=rows)


def from_features(features: Mapping[str, str], text_columns: frozenset[str]) -> dict[str, list[Any]]:
    """The one row of a message that has it as texts; all but `text_columns` hold JSON."""
    return {name: [text if name in text_columns else _said(text)] for name, text in features.items()}


def _said(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def from_typed_features(features: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The one row of a message that has it as `feast.types.Value`s."""
    return {name: [_plain(value)] for name, value in features.items()}


def _plain(value: Any) -> Any:
    field = value.WhichOneof("val")
    if field is None:
        return None
    held = getattr(value, field)
    plain = _PLAIN.get(field)
    if plain is not None:
        return plain(held)
    return list(held.val) if hasattr(held, "val") else held


def _number(held: float) -> float | str:
    return "NaN" if math.isnan(held) else held


def _object_of(held: Any) -> dict[str, Any]:
    return {name: _plain(each) for name, each in held.val.items()}


def _objects_of(held: Any) -> list[dict[str, Any]]:
    return [_object_of(each) for each in held.val]


def _list_of(held: Any) -> list[Any]:
    return [_plain(each) for each in held.val]


# Values whose messages say them in another way than `plain` takes them.
_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "null_val": lambda _: None,
    "zoned_timestamp_val": lambda held: (held.unix_timestamp, held.zone),
    "scalar_map_val": lambda held: held,
    **dict.fromkeys(("float_val", "double_val"), _number),
    **dict.fromkeys(("map_val", "struct_val"), _object_of),
    **dict.fromkeys(("map_list_val", "struct_list_val"), _objects_of),
    **dict.fromkeys(("list_val", "set_val"), _list_of),
}
