"""What the encoder hands to the writer: a batch of rows as Redis keys and the arguments of their HSET."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """One view's share of a batch of n rows.

    `times` are event times in microseconds since 1970, int64 of n. `body` holds for each row the RESP bulk strings of
    all its fields and values, that of its event time included: `arguments` strings, two for each of `fields`. Where
    `present` (bool of n, or None for all) is false, the row has nothing of this view and its body is not to be written.
    A row's fields expire `ttl_ms` after its event time; 0 is never.
    """

    time_field: bytes
    times: Any
    present: Any | None
    body: Any
    arguments: int
    fields: tuple[bytes, ...]
    ttl_ms: int = 0


@dataclass(frozen=True)
class Encoded:
    """Redis keys, an Arrow binary array of n, and one part for each view that shares them."""

    keys: Any
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return len(self.keys)
