"""From a plan, a request's entities and what Redis holds to the columns of an answer. Pure.

The form is that of Feast's own server: for each column values, statuses and event times, join keys first. Where the
two differ, docs/serving.md says why.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import hiredis

from featureplane.serving.reading.entity_keys import converted
from featureplane.serving.reading.plan import Part, Plan, Read
from featureplane.serving.reading.refusals import Refused
from featureplane.serving.reading.times import read_times, written
from featureplane.serving.reading.values import Undecodable, decode

# feast.serving.FieldStatus.
PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE = 1, 3, 4
# Answers of up to so many rows are alike often enough to keep what they share.
_FEW = 256


class Entities(NamedTuple):
    """The request's entities: the join keys in its order with their values, and how many rows there are."""

    columns: Mapping[str, Sequence[Any]]
    rows: int


class Columns(NamedTuple):
    """A view's features for all entity rows, as Redis holds them: for each feature serialized values and FieldStatus,
    and the serialized event times, which they share. `complete` says that every value is there, and in time.
    """

    part: Part
    stored: Sequence[Sequence[bytes | None]]
    statuses: Sequence[Sequence[int]]
    times: Sequence[bytes | None]
    complete: bool


def entities_of(plan: Plan, entities: Mapping[str, Sequence[Any]]) -> Entities:
    """Join keys of the request, of the types that the views have; other names are left out, as Feast does.

    Raises Refused.
    """
    found: dict[str, Sequence[Any]] = {}
    rows = len(next(iter(entities.values())))
    for name, values in entities.items():
        if len(values) != rows:
            counts = ", ".join(f"{each} has {len(its)}" for each, its in entities.items())
            raise Refused(f"All entity rows must have the same columns: {counts}")
        key = name if name in plan.join_keys else plan.entities.get(name)
        if key in found:
            raise Refused(f"entities: {name} is another name for the join key {key}; give one of them")
        if key is not None:
            kind = plan.types.get(key)
            found[key] = converted(name, values, kind) if kind else values
    if not plan.types.keys() <= found.keys():
        missing = sorted(plan.types.keys() - found.keys())
        raise Refused(f"Missing join key values for keys: {missing}; entities has {sorted(entities)}")
    return Entities(found, rows)


def columns_of(
    plan: Plan, replies: Sequence[Sequence[Any]], now: float, *, keeps_expired: bool = True
) -> list[Columns]:
    """The answer's features by view; `replies` are those of each read, one for each entity row.

    `now` is in seconds since 1970. Raises Undecodable where Redis holds something else than a row.
    """
    fields = [_turned(read, answers) for read, answers in zip(plan.reads, replies, strict=True)]
    return [
        _columns(plan.reads[read].parts[index], fields[read], now, keeps_expired=keeps_expired)
        for read, index in plan.order
    ]


def _turned(read: Read, answers: Sequence[Any]) -> list[Sequence[Any]]:
    """Rows of fields to fields of rows."""
    try:
        return list(zip(*answers, strict=True)) or [()] * len(read.fields)
    except TypeError:  # Redis' errors are among the replies
        row, error = next((row, each) for row, each in enumerate(answers) if isinstance(each, hiredis.ReplyError))
        views = ", ".join(part.view.name for part in read.parts)
        what = "is of another type in Redis" if str(error).startswith("WRONGTYPE") else "cannot be read in Redis"
        raise Undecodable(f"the key of {views} at entity row {row} {what}") from None


def undecodable(answer: Iterable[Columns]) -> Undecodable:
    """An error that names what it is that cannot be read; looked for when it is known that there is something."""
    for columns in answer:
        for row, time in enumerate(columns.times):
            if not _is_sound(written, time):
                return Undecodable(f"the event time of {columns.part.view.name} at entity row {row} cannot be read")
        for name, stored in zip(columns.part.names, columns.stored, strict=True):
            for row, value in enumerate(stored):
                if not _is_sound(decode, value):
                    where = f"{name} of {columns.part.view.name} at entity row {row}"
                    return Undecodable(f"the value of {where} cannot be read")
    return Undecodable("a value cannot be read")


def _is_sound(read: Callable[[Sequence[bytes | None]], Any], stored: bytes | None) -> bool:
    try:
        read([stored])
    except Undecodable:
        return False
    return True


def _columns(part: Part, fields: Sequence[Sequence[Any]], now: float, *, keeps_expired: bool) -> Columns:
    times = fields[part.end]
    stored: Sequence[Sequence[bytes | None]] = fields[part.start : part.end]
    try:
        expired = _expired(times, part.view.ttl, now)
    except Undecodable:
        raise undecodable([Columns(part, (), (), times, complete=False)]) from None
    if not expired and None not in chain.from_iterable(stored):
        return Columns(part, stored, (_all_present(len(times)),) * len(stored), times, complete=True)
    statuses = [
        [
            NOT_FOUND if value is None else OUTSIDE_MAX_AGE if row in expired else PRESENT
            for row, value in enumerate(column)
        ]
        for column in stored
    ]
    if expired and not keeps_expired:
        stored = [[None if row in expired else value for row, value in enumerate(column)] for column in stored]
    return Columns(part, stored, statuses, times, complete=False)


def _expired(times: Sequence[bytes | None], ttl: float, now: float) -> frozenset[int]:
    """Rows whose event time is longer ago than the ttl."""
    if not ttl:
        return frozenset()
    oldest = now - ttl
    return frozenset(row for row, time in enumerate(read_times(times)) if time is not None and time < oldest)


def _all_present(rows: int) -> tuple[int, ...]:
    return _few_present(rows) if rows <= _FEW else (PRESENT,) * rows


@lru_cache(_FEW)
def _few_present(rows: int) -> tuple[int, ...]:
    return (PRESENT,) * rows
