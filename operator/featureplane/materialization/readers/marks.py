"""The rows that won, as a bit for each row of the source: ten million are 1.25 MB, whatever their keys look like."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from featureplane.errors import SourceChanged

Numbers = npt.NDArray[np.int64]


def row_bits(rows: Sequence[int]) -> int:
    """How many bits of a row's number are its place in its file, of files with so many rows; above is the file's."""
    return max(rows, default=0).bit_length()


class Marks:
    """A set of row numbers. `rows` says how many each file has."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._row_bits = row_bits(rows)
        self._rows = np.array(rows, dtype=np.int64)
        self._offsets = np.cumsum([0, *rows], dtype=np.int64)
        self._bits = np.zeros(int(self._offsets[-1]) // 8 + 1, np.uint8)

    def add(self, numbers: Numbers) -> None:
        """Mark these rows."""
        places = np.sort(self._places(numbers))
        octets, bits = _split(places)
        firsts = np.flatnonzero(np.diff(octets, prepend=-1))
        if len(firsts):
            self._bits[octets[firsts]] |= np.bitwise_or.reduceat(bits, firsts)

    def has(self, numbers: Numbers) -> npt.NDArray[np.bool_]:
        """Which of these rows are marked."""
        octets, bits = _split(self._places(numbers))
        marked: npt.NDArray[np.bool_] = (self._bits[octets] & bits) != 0
        return marked

    def _places(self, numbers: Numbers) -> Numbers:
        """Where each row stands among all rows of all files. Raises SourceChanged for one beyond its file."""
        within: Numbers = numbers & ((1 << self._row_bits) - 1)
        files = numbers >> self._row_bits
        if (len(files) and files.max() >= len(self._rows)) or (within >= self._rows[files]).any():
            raise SourceChanged("a file has more rows than when it was opened; run again")
        before: Numbers = self._offsets[files]
        return before + within


def _split(places: Numbers) -> tuple[Numbers, npt.NDArray[np.uint8]]:
    """The byte of each place and its bit there."""
    return places >> 3, np.left_shift(np.uint8(1), (places & 7).astype(np.uint8))
