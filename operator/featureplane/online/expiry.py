"""How long rows live in Redis: as long as their view's ttl, and never cut short by another view of the same entity.

Where the server lets fields of a hash expire (HPEXPIREAT), those of each view do. Elsewhere only the key can, with all
views in it: its expiry is then raised to the row's, if all of them expire at all, and else taken away.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from featureplane.online.layout import Keys

_MILLISECONDS = 1000


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


def plan_for(expiry: Expiry | None, ttls_ms: Sequence[int], *, has_field_expiry: bool) -> Plan:
    """What a server has to be told of rows of views with these ttls, 0 being none. Without an `expiry` nothing: keys
    keep what they have.
    """
    if expiry is None:
        return Plan()
    if expiry.key_ttl_seconds:
        return Plan(has_field_expiry, "expire", expiry.key_ttl_seconds)
    # A key may still have the expiry that it got when all of its views had a ttl, or from an older server.
    if has_field_expiry or not (expiry.all_views_expire and all(ttls_ms)):
        return Plan(has_field_expiry, "persist")
    return Plan(action="raise", number=expiry.longest_ttl_ms)


def expiries(views: Iterable[tuple[Keys, int]], key_ttl_seconds: int, *, is_complete: bool) -> Mapping[Keys, Expiry]:
    """What the rows of each set of join keys may expire by; nothing where none does.

    `views` are join keys and ttl, in seconds, of each view; `is_complete` says that there are no others, of which
    nobody knows how long their rows are to live.
    """
    ttls: dict[Keys, list[int]] = {}
    for keys, ttl in views:
        ttls.setdefault(keys, []).append(ttl)
    return {
        keys: Expiry(is_complete and all(found), max(found) * _MILLISECONDS, key_ttl_seconds)
        for keys, found in ttls.items()
        if any(found) or key_ttl_seconds
    }
