"""An answer as a serialized feast.serving.GetOnlineFeaturesResponse (feast/protos/feast/serving/ServingService.proto).

Redis holds serialized `Value`s and `Timestamp`s, which are put into it as they are: nothing is decoded.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from google.protobuf.message import DecodeError

from featureplane.registry.protos import ServingService
from featureplane.serving.catalogue.served import ServedView
from featureplane.serving.reading.answer import PRESENT, Columns, Entities, undecodable
from featureplane.serving.wire import length

_METADATA, _RESULT, _VALUE, _STATUSES, _TIME = b"\x0a", b"\x12", b"\x0a", b"\x12", b"\x1a"
# Features of an answer whose names are kept as they are written.
_FEW = 256
_NOTHING = _VALUE + b"\0"


def as_proto(
    entities: Entities, kept: Sequence[Sequence[Any]], answer: Sequence[Columns], views: Iterable[ServedView] = ()
) -> bytes:
    """`kept` are the join keys' values as messages, in the order of the entities' columns. Raises Undecodable."""
    names = (*entities.columns, *chain.from_iterable(columns.part.names for columns in answer))
    parts = [_part(_METADATA, _named(names) + b"".join(map(_version, views)))]
    rows = entities.rows
    keys_end = _part(_STATUSES, bytes((PRESENT,)) * rows) + _part(_TIME, b"") * rows
    for values in kept:
        serialized = b"".join([_part(_VALUE, value.SerializeToString()) for value in values])
        parts.append(_part(_RESULT, serialized + keys_end))
    for columns in answer:
        times = b"".join([_part(_TIME, time or b"") for time in columns.times])
        # The same for every column of a view that has all of its values.
        end = _part(_STATUSES, bytes(columns.statuses[0])) + times
        for stored, statuses in zip(columns.stored, columns.statuses, strict=True):
            if not columns.complete:
                end = _part(_STATUSES, bytes(statuses)) + times
            content = b"".join([_VALUE + length(len(value)) + value if value else _NOTHING for value in stored]) + end
            parts += (_RESULT, length(len(content)), content)
    said = b"".join(parts)
    try:
        ServingService.GetOnlineFeaturesResponse.FromString(said)
    except DecodeError:  # the client could read nothing of it, and would not know why
        raise undecodable(answer) from None
    return said


def _named(names: tuple[str, ...]) -> bytes:
    """The same features are asked for again and again; lists that are long enough to fill the memory are not kept."""
    return _few_named(names) if len(names) <= _FEW else _few_named.__wrapped__(names)


@lru_cache(1024)
def _few_named(names: tuple[str, ...]) -> bytes:
    metadata = ServingService.GetOnlineFeaturesResponseMetadata()
    metadata.feature_names.val.extend(names)
    return bytes(metadata.SerializeToString())


def _version(view: ServedView) -> bytes:
    metadata = ServingService.GetOnlineFeaturesResponseMetadata()
    metadata.feature_view_metadata.add(name=view.name, version=view.version)
    return bytes(metadata.SerializeToString())


def _part(tag: bytes, content: bytes) -> bytes:
    return tag + length(len(content)) + content
