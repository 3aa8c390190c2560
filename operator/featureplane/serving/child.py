"""The child's side of `process`: its request, where it listens, and its end when the parent's comes."""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any


def read_request() -> dict[str, Any]:
    """The first line of standard input."""
    return dict(json.loads(sys.stdin.readline()))


class Announcement:
    """Standard output as a channel for one line; whatever is printed from now on goes to standard error instead."""

    def __init__(self) -> None:
        self._channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def listening(self, port: int) -> None:
        """Say that the server answers on this port."""
        self._channel.write(json.dumps({"port": port}) + "\n")
        self._channel.close()


def when_parent_ends(call: Callable[[], object]) -> None:
    """Call it, in a thread, when standard input ends: the parent has closed it, or is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        call()

    threading.Thread(target=wait, daemon=True).start()


def bracketed(host: str) -> str:
    """A host as it stands in an address: IPv6 has brackets."""
    return f"[{host}]" if ":" in host else host
