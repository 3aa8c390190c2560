"""How long rows live in Redis: as long as their view's ttl, and never cut short by another view of the same entity.

Where the server lets fields of a hash expire (HPEXPIREAT), those of each view do. Elsewhere only the key can, with all
views in it: its expiry is then raised to the row's, if all of them expire at all, and else taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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
from featureplane.materialization.writing.scripts import RAISE
from featureplane.materialization.writing.selection import Mask


@dataclass(frozen=True)
class Expiry:
    """What the writer has to know to let rows expire.

    `all_views_expire`: every view with these join keys has a ttl, and `longest_ttl_ms` is the longest of them; without
    it a key that was written without an expiry, and holds other fields than the row's, keeps none. `key_ttl_seconds` is
    Feast's own option: the key's life since its last write, whatever is in it; 0 is none.
    """

    all_views_expire: bool = False
    longest_ttl_ms: int = 0
    key_ttl_seconds: int = 0


@dataclass(frozen=True)
class Plan:
    """What is done behind each HSET: whether its fields expire, and what becomes of the key's expiry.

    `number` belongs to the action: the seconds of `expire`, the milliseconds of `raise`'s longest ttl.
    """

    fields_expire: bool = False
    action: Literal["", "expire", "persist", "raise"] = ""
    number: int = 0


def plan_for(expiry: Expiry | None, parts: Sequence[Part], *, has_field_expiry: bool) -> Plan:
    """What a server has to be told of rows with these parts. Without an `expiry` nothing: keys keep what they have."""
    if expiry is None:
        return Plan()
    if expiry.key_ttl_seconds:
        return Plan(has_field_expiry, "expire", expiry.key_ttl_seconds)
    # A key may still have the expiry that it got when all of its views had a ttl, or from an older server.
    if has_field_expiry or not (expiry.all_views_expire and all(part.ttl_ms for part in parts)):
        return Plan(has_field_expiry, "persist")
    return Plan(action="raise", number=expiry.longest_ttl_ms)


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
