"""What is sent to a server and what comes back. A mode is a generator of such requests (see `modes`). Pure."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.materialization.writing.resp import flat

Replies = list[Any]


@dataclass(frozen=True)
class Request:
    """Commands, a row each or several: `counts` says how many of them a row holds, int of n; a null is none.

    `groups` are such arrays with what they hold, sent one behind the other.
    """

    groups: tuple[tuple[pa.BinaryArray, NDArray[Any]], ...]

    @classmethod
    def of(cls, commands: pa.BinaryArray, counts: NDArray[Any] | int = 1) -> "Request":
        return cls(()).and_(commands, counts)

    def and_(self, commands: pa.BinaryArray, counts: NDArray[Any] | int = 1) -> "Request":
        each = np.full(len(commands), counts) if isinstance(counts, int) else counts
        return Request((*self.groups, (commands, each)))

    @property
    def buffers(self) -> list[memoryview]:
        return [flat(commands) for commands, _ in self.groups]

    @property
    def replies(self) -> int:
        return int(sum(counts.sum() for _, counts in self.groups))

    def command(self, reply: int) -> tuple[bytes, int]:
        """The row whose answer is the reply of this index, and which of its commands that is."""
        for commands, counts in self.groups:
            total = int(counts.sum())
            if reply < total:
                ends = np.cumsum(counts)
                row = int(np.searchsorted(ends, reply, side="right"))
                return commands[row].as_py(), reply - int(ends[row] - counts[row])
            reply -= total
        raise IndexError(reply)


@dataclass
class Outcome:
    """Rows of each part, in the parts' order: int of parts. They were written, or the stored ones were newer."""

    written: NDArray[np.int64]
    skipped: NDArray[np.int64]


Steps = Generator[Request, Replies, Outcome]


@dataclass
class Exchange:
    """A request under way on a connection, and what to do with its replies."""

    request: Request
    then: Callable[[Replies], None]
    expected: int = 0
    replies: Replies = field(default_factory=list)
    failed: bool = False
