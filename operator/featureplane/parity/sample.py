"""Which entities of a view are compared: chosen while its rows stream by, in the memory that these take. Pure.

Those that are asked for are among them (they were found online, and the source may not have them); up to a quarter are
those with the newest rows, in which runs and pushes show; the others are any, each as likely as another. The same rows
and the same seed are the same sample.
"""

import heapq
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

import mmh3

Row = TypeVar("Row")
_SHARE = 4
# A place in a heap: what decides, and the key. The least goes first.
_Place = tuple[int, bytes]


def number(key: bytes, seed: int) -> int:
    """Where a key stands in an order that its seed makes."""
    return int(mmh3.hash64(key, seed, signed=False)[0])


def share_of(size: int) -> int:
    """How many of so many may be asked for, or are the newest."""
    return max(size // _SHARE, 1)


class Sample(Generic[Row]):
    """Up to `size` rows by their keys, each of which comes once."""

    def __init__(self, size: int, seed: int, asked: Collection[bytes] = ()) -> None:
        self._size = size
        self._seed = seed
        self._asked = frozenset(asked)
        self._share = share_of(size)
        # By key: its row, and in how many ways it is among the chosen.
        self._rows: dict[bytes, Row] = {}
        self._uses: dict[bytes, int] = {}
        self._any: list[_Place] = []
        self._newest: list[_Place] = []

    def take(self, keys: Sequence[bytes], times: Sequence[int], pick: Callable[[list[int]], Sequence[Row]]) -> None:
        """Look at more rows; `pick` gives those at some places among them."""
        offered = [place for place in range(len(keys)) if self._is_chosen(keys[place], times[place])]
        kept = [place for place in offered if keys[place] in self._uses]
        if kept:
            self._rows.update(zip([keys[place] for place in kept], pick(kept), strict=True))

    def rows(self) -> dict[bytes, Row]:
        """The sample, by key."""
        asked = sorted(self._asked & self._rows.keys())
        newest = [key for _, key in sorted(self._newest, reverse=True)]
        others = [key for _, key in sorted(self._any, reverse=True)]
        chosen = list(dict.fromkeys([*asked, *newest, *others]))[: self._size]
        return {key: self._rows[key] for key in chosen}

    def _is_chosen(self, key: bytes, time: int) -> bool:
        """Whether the row is in the sample of all rows so far."""
        if key in self._uses:  # two values of a source that are one of the join key's type
            return False
        uses = int(key in self._asked)
        uses += self._put(self._any, (-number(key, self._seed), key), self._size)
        uses += self._put(self._newest, (time, key), self._share)
        if uses:
            self._uses[key] = uses
        return uses > 0

    def _put(self, heap: list[_Place], place: _Place, size: int) -> bool:
        """Whether there is room in the heap, or something less goes."""
        if len(heap) < size:
            heapq.heappush(heap, place)
            return True
        if place < heap[0]:
            return False
        _, gone = heapq.heapreplace(heap, place)
        self._uses[gone] -= 1
        if not self._uses[gone]:
            del self._uses[gone]
            self._rows.pop(gone, None)
        return True
