"""An answer as Feast's server writes it in JSON (feast/feature_server_utils.py, `convert_response_to_dict`)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from featureplane.serving.catalogue.served import ServedView
from featureplane.serving.reading.answer import Columns, Entities, undecodable
from featureplane.serving.reading.times import EPOCH, written
from featureplane.serving.reading.values import Undecodable, decode, numbers_of

# Clients may ask for any number of rows and features; what is kept of answers is for small ones.
_FEW = 256
# feast.serving.FieldStatus.
_NAMES = ("INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")

_NEXT = b',{"values":['


def as_json(entities: Entities, answer: Sequence[Columns], views: Iterable[ServedView] = ()) -> bytes:
    """`views` are those whose versions were asked for. Raises Undecodable, naming the value."""
    try:
        return _as_json(entities, answer, views)
    except Undecodable:
        raise undecodable(answer) from None


def _as_json(entities: Entities, answer: Sequence[Columns], views: Iterable[ServedView]) -> bytes:
    """Pieces that are JSON already, as most columns of an answer share their ends: an encoder would go through each."""
    rows = entities.rows
    present = _same("PRESENT", rows)
    end = _end(present, _same(EPOCH, rows))
    results = [orjson.dumps(values, default=_beyond)[1:-1] + end for values in entities.columns.values()]
    for columns in answer:
        times = orjson.dumps(written(columns.times))
        values = _written(columns.stored, rows)
        if columns.complete:
            end = _end(present, times)
            results.append((end + _NEXT).join(values) + end)
        else:
            statuses = [orjson.dumps([_NAMES[each] for each in column]) for column in columns.statuses]
            results += [one + _end(its, times) for one, its in zip(values, statuses, strict=True)]
    names = (*entities.columns, *chain.from_iterable([columns.part.names for columns in answer]))
    versions = [_version(view) for view in views]
    more = b',"feature_view_metadata":' + orjson.dumps(versions) if versions else b""
    first = _NEXT[1:] if results else b""
    said = _NEXT.join(results)
    return b"".join((b'{"results":[', first, said, b'],"metadata":{"feature_names":', _named(names), more, b"}}"))


def _written(stored: Sequence[Sequence[bytes | None]], rows: int) -> list[bytes]:
    """Each column as JSON, without the brackets around it."""
    numbers = numbers_of(stored)
    if numbers is None:
        return [orjson.dumps(decode(column))[1:-1] for column in stored]
    if rows == 1:
        return orjson.dumps(numbers)[1:-1].split(b",")
    columns = [numbers[start : start + rows] for start in range(0, len(numbers), rows)]
    return orjson.dumps(columns)[2:-2].split(b"],[")


def _end(statuses: bytes, times: bytes) -> bytes:
    return b'],"statuses":' + statuses + b',"event_timestamps":' + times + b"}"


def _version(view: ServedView) -> dict[str, Any]:
    return {"name": view.name, **({"version": view.version} if view.version else {})}


def _named(names: tuple[str, ...]) -> bytes:
    return _few_named(names) if len(names) <= _FEW else orjson.dumps(names)


@lru_cache(1024)
def _few_named(names: tuple[str, ...]) -> bytes:
    return orjson.dumps(names)


def _same(text: str, rows: int) -> bytes:
    return _few_same(text, rows) if rows <= _FEW else orjson.dumps([text] * rows)


@lru_cache(2 * _FEW)
def _few_same(text: str, rows: int) -> bytes:
    return orjson.dumps([text] * rows)


def _beyond(value: Any) -> Any:
    """An integer of more than 64 bits, which only a join key of no view can be."""
    if isinstance(value, int):
        return orjson.Fragment(str(value))
    raise TypeError
