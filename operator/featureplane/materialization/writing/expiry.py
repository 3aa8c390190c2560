"""The commands that let rows expire; what is to be done is said by `online.expiry`. Pure."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.materialization.encoding.encoded import Encoded, Part
from featureplane.materialization.writing.resp import (
    Pieces,
    begin,
    bulk,
    bulks,
    numbers,
    only_where,
    packed,
    script_calls,
)
from featureplane.materialization.writing.selection import Mask
from featureplane.online.expiry import Plan
from featureplane.online.scripts import RAISE


def behind_each(
    rows: Encoded, written: Mask, plan: Plan, keys: pa.BinaryArray
) -> tuple[list[Pieces], NDArray[np.int64]]:
    """Commands to append to each row's HSET, and how many they are, int of n.

    `written` is a bool of n x parts, `keys` are bulk strings.
    """
    pieces: list[Pieces] = []
    if plan.action == "persist":
        pieces += [begin(b"PERSIST", more=1), keys]
    elif plan.action == "expire":
        pieces += [begin(b"EXPIRE", more=2), keys, bulk(b"%d" % plan.number)]
    counts = np.full(len(rows), 1 if pieces else 0)
    for part, mask in zip(rows.parts, written.T, strict=True):
        if plan.fields_expire and part.ttl_ms:
            names = bulks(b"FIELDS", b"%d" % len(part.fields), *part.fields)
            head = begin(b"HPEXPIREAT", more=4 + len(part.fields))
            pieces += [only_where(mask, piece) for piece in (head, keys, numbers(_ends(part)), names)]
            counts += mask
    return pieces, counts


def raising(rows: Encoded, written: Mask, plan: Plan, keys: pa.BinaryArray, size: int) -> pa.BinaryArray:
    """Calls of `raise.lua`, one for `size` rows, for the rows of which a part was written; see `behind_each`."""
    some = np.flatnonzero(written.any(axis=1))
    ends = np.max([np.where(mask, _ends(part), 0) for part, mask in zip(rows.parts, written.T, strict=True)], axis=0)
    fields = written @ np.array([part.arguments // 2 for part in rows.parts])
    each = packed(ends[some], fields[some])
    constants = [b"%d" % plan.number]
    return script_calls(RAISE.sha, keys.take(pa.array(some)), constants, each, np.ones(len(some), int), size)


def _ends(part: Part) -> NDArray[np.int64]:
    """When each row of the part expires, in milliseconds since 1970."""
    return np.asarray(part.times // 1000 + part.ttl_ms, np.int64)
