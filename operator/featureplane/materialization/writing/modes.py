"""The three ways to write a batch, each as the requests it takes and what is made of their answers. Pure.

    newest     reads the stored event times, then writes the rows that are not older: one writer at a time
    atomic     both in a script: other writers may push rows meanwhile
    overwrite  reads nothing

A row of the stored event time is written again: it may be a correction, or bring a feature that was added.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.materialization.encoding.encoded import Encoded
from featureplane.materialization.writing.exchange import Outcome, Request, Steps
from featureplane.materialization.writing.expiry import behind_each, raising
from featureplane.materialization.writing.resp import (
    begin,
    bulk_array,
    bulks,
    joined,
    only_where,
    packed,
    script_calls,
    texts,
)
from featureplane.materialization.writing.selection import Mask, matrix
from featureplane.materialization.writing.stored_times import Times, decode, not_older, split
from featureplane.online.expiry import Plan
from featureplane.online.scripts import NEWEST

Mode = Callable[[Encoded, Plan, int], Steps]
"""Rows, what to do about their expiry, and how many rows a script takes in one call."""


def newest(rows: Encoded, plan: Plan, size: int) -> Steps:
    """Keys must be unique, and nobody else may write these views meanwhile."""
    keys = bulk_array(rows.keys)
    fields = [part.time_field for part in rows.parts]
    single = len(fields) == 1
    head = begin(b"HGET" if single else b"HMGET", more=1 + len(fields))
    stored = yield Request.of(joined(head, keys, bulks(*fields)))
    answered = decode(stored if single else list(chain.from_iterable(stored)))
    written = matrix(rows)
    for column, part in enumerate(rows.parts):
        written[:, column] &= not_older(part.times, _every(answered, column, len(fields)))
    if written.any():
        yield _hset(rows, written, plan, keys, size)
    return _outcome(rows, written)


def overwrite(rows: Encoded, plan: Plan, size: int) -> Steps:
    written = matrix(rows)
    yield _hset(rows, written, plan, bulk_array(rows.keys), size)
    return _outcome(rows, written)


def atomic(rows: Encoded, plan: Plan, size: int) -> Steps:
    """Any number of writers; a key may occur more than once."""
    there = matrix(rows)
    pieces = []
    for part, mask in zip(rows.parts, there.T, strict=True):
        pieces += [only_where(mask, packed(*split(part.times)), b"$0\r\n\r\n"), only_where(mask, part.body)]
    counts = len(rows.parts) + there @ _arguments(rows)
    constants = [b"%d" % len(rows.parts), plan.action.encode(), b"%d" % plan.number, b"%d" % plan.fields_expire]
    for part in rows.parts:
        constants += [part.time_field, b"%d" % part.ttl_ms, b"%d" % part.arguments]
    answers = yield Request.of(
        script_calls(NEWEST.sha, bulk_array(rows.keys), constants, joined(*pieces), counts, size)
    )
    written = np.frombuffer(b"".join(answers), np.uint8).reshape(there.shape) == ord("1")
    return _outcome(rows, written)


def _hset(rows: Encoded, written: Mask, plan: Plan, keys: pa.BinaryArray, size: int) -> Request:
    """HSET of the written parts, and what their expiry takes."""
    some: Mask = np.asarray(written.any(axis=1))
    words = 2 + written @ _arguments(rows)
    head = only_where(some, texts(words, lambda count: begin(b"HSET", more=count - 1)), None)
    bodies = [
        part.body if len(rows.parts) == 1 else only_where(mask, part.body)
        for part, mask in zip(rows.parts, written.T, strict=True)
    ]
    behind, counts = behind_each(rows, written, plan, keys)
    request = Request.of(joined(head, keys, *bodies, *behind), np.where(some, 1 + counts, 0))
    if plan.action == "raise":
        return request.and_(raising(rows, written, plan, keys, size))
    return request


def _every(times: Times, first: int, step: int) -> Times:
    return Times(times.seconds[first::step], times.nanos[first::step], times.known[first::step])


def _arguments(rows: Encoded) -> NDArray[Any]:
    return np.array([part.arguments for part in rows.parts])


def _outcome(rows: Encoded, written: Mask) -> Outcome:
    return Outcome(written.sum(axis=0), matrix(rows).sum(axis=0) - written.sum(axis=0))
