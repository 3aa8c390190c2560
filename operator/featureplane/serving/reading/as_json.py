"""An answer as Feast's server writes it in JSON (feast/feature_server_utils.py, `convert_response_to_dict`)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any

import orjson

from featureplane.serving.catalogue.served import ServedView
from featureplane.serving.reading.answer import Columns, Entities, undecodable
from featureplane.serving.reading.times import EPOCH, written
from featureplane.serving.reading.values import Undecodable, decode_all

# Clients may ask for any number of rows; what is kept of answers is for small ones.
_FEW = 256
# feast.serving.FieldStatus.
_NAMES = ("INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")


def as_json(entities: Entities, answer: Sequence[Columns], views: Iterable[ServedView] = ()) -> bytes:
    """`views` are those whose versions were asked for. Raises Undecodable, naming the value."""
    try:
        return _as_json(entities, answer, views)
    except Undecodable:
        raise undecodable(answer) from None


def _as_json(entities: Entities, answer: Sequence[Columns], views: Iterable[ServedView]) -> bytes:
    rows = entities.rows
    present = _same("PRESENT", rows)
    results: list[dict[str, Any]] = [
        {"values": values, "statuses": present, "event_timestamps": _same(EPOCH, rows)}
        for values in entities.columns.values()
    ]
    for columns in answer:
        times = orjson.Fragment(orjson.dumps(written(columns.times)))
        statuses = (
            repeat(present) if columns.complete else [[_NAMES[each] for each in column] for column in columns.statuses]
        )
        results += [
            {"values": values, "statuses": its, "event_timestamps": times}
            for values, its in zip(decode_all(columns.stored), statuses, strict=False)
        ]
    names = [*entities.columns, *chain.from_iterable(columns.part.names for columns in answer)]
    metadata: dict[str, Any] = {"feature_names": names}
    versions = [_version(view) for view in views]
    if versions:
        metadata["feature_view_metadata"] = versions
    return orjson.dumps({"results": results, "metadata": metadata}, default=_beyond)


def _version(view: ServedView) -> dict[str, Any]:
    return {"name": view.name, **({"version": view.version} if view.version else {})}


def _same(text: str, rows: int) -> orjson.Fragment:
    return _few_same(text, rows) if rows <= _FEW else orjson.Fragment(orjson.dumps([text] * rows))


@lru_cache(2 * _FEW)
def _few_same(text: str, rows: int) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps([text] * rows))


def _beyond(value: Any) -> Any:
    """An integer of more than 64 bits, which only a join key of no view can be."""
    if isinstance(value, int):
        return orjson.Fragment(str(value))
    raise TypeError
