"""The child's side of `process`: its request, where it listens, and its end when the parent's comes."""

import json
import os
import threading
from collections.abc import Callable
from typing import Any


def read_request() -> dict[str, Any]:
    """The first line of standard input, and not a byte more: the parent may have said the next word already."""
    with open(0, "rb", buffering=0, closefd=False) as words:
        return dict(json.loads(words.readline()))


class Announcement:
    """Standard output as a channel for one line; whatever is printed from now on goes to standard error instead."""

    def __init__(self) -> None:
        self._channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def listening(self, port: int) -> None:
        """Say that the server answers on this port."""
        self._channel.write(json.dumps({"port": port}) + "\n")
        self._channel.close()


# Set when the parent has closed standard input, or is gone: all of its children end.
PARENT_ENDED = threading.Event()


def when_parent_ends(call: Callable[[], object]) -> threading.Event:
    """Call it, in a thread, when standard input ends: the parent has closed it, or is gone.

    The event is set once the parent says to go on (`ServerProcess.go_on`).
    """
    may_go_on = threading.Event()

    def wait() -> None:
        while os.read(0, 4096):
            may_go_on.set()
        PARENT_ENDED.set()
        call()

    threading.Thread(target=wait, daemon=True).start()
    return may_go_on


def bracketed(host: str) -> str:
    """A host as it stands in an address: IPv6 has brackets."""
    return f"[{host}]" if ":" in host else host
