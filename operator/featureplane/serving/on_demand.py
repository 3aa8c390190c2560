"""Feast's own app behind the workers: on a Unix socket, started when somebody first connects to it.

It takes seconds and 200 MB, which a project whose requests the fast path answers never spends. What connects meanwhile
waits in the socket's backlog. Where it does not start, or ends soon after, whoever has connected is told so.
"""

import json
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from featureplane.errors import FeatureplaneError, UntrustedRegistry
from featureplane.serving.process import ServerProcess

_LOOK_SECONDS = 0.5
_BACKLOG = 512
# From one start to the next, at least: an app that ends as soon as it has started would end again. And between two
# attempts at a start that is refused.
_BETWEEN_STARTS = 15.0
_BETWEEN_ATTEMPTS = 2.0
_MOST_READ = 64 << 10
# For a worker to send its request, and to read why it is refused.
_TURNING_AWAY_SECONDS = 0.5
_NOT_STARTED = "Feast's own app, which answers for this, is not started; the server's log says why"
# Nothing that a client sees says what is registered, or where.
_UNTRUSTED = (
    "Feast's own app would answer this, and is not started: the registry holds Python that it would execute, and this "
    "server was not told to trust it (registry.trustUserDefinedFunctions, or --trust-user-defined-functions)"
)

Start = Callable[[int], ServerProcess]


@contextmanager
def on_demand(start: Start, complain: Callable[[str], None]) -> Iterator[Path]:
    """The path of a socket; `start` makes the process that listens on a descriptor of it.

    Where that raises FeatureplaneError, whoever has connected is turned away with 503, and `complain` is told why.
    """
    with TemporaryDirectory(prefix="featureplane-serve-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "feast"
        listening.bind(str(path))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        waiting = _Waiting(listening, start, complain)
        thread = threading.Thread(target=waiting.run, name="feast", daemon=True)
        thread.start()
        try:
            yield path
        finally:
            waiting.stopped.set()
            thread.join()


class _Waiting:
    """Waits for whoever connects, and starts the process for him, until it is `stopped`."""

    def __init__(self, listening: socket.socket, start: Start, complain: Callable[[str], None]) -> None:
        self.stopped = threading.Event()
        self._listening = listening
        self._start = start
        self._complain = complain
        self._said = ""
        self._is_untrusted = False
        self._process: ServerProcess | None = None
        self._started_at = 0.0

    def run(self) -> None:
        not_before = 0.0
        while not self.stopped.is_set():
            if self._process is not None:
                if self._process.is_running:
                    self.stopped.wait(_LOOK_SECONDS)
                    continue
                not_before = self._ended()
            if not select.select([self._listening], [], [], _LOOK_SECONDS)[0]:
                continue
            if time.monotonic() < not_before:
                self._turn_away()
                continue
            try:
                self._process = self._start(self._listening.fileno())
            except (FeatureplaneError, OSError) as error:
                self._say(str(error))
                self._is_untrusted = isinstance(error, UntrustedRegistry)
                not_before = time.monotonic() + _BETWEEN_ATTEMPTS
                self._turn_away()
            else:
                self._started_at, self._said, self._is_untrusted = time.monotonic(), "", False
        if self._process is not None:
            self._process.stop()

    def _ended(self) -> float:
        """The process is no more; when the next may be started (monotonic seconds)."""
        assert self._process is not None
        self._say(f"it has ended by itself (exit status {self._process.exit_status})")
        self._process.stop()
        self._process = None
        return self._started_at + _BETWEEN_STARTS

    def _say(self, why: str) -> None:
        """Once for all requests that it concerns."""
        if why != self._said:
            self._complain(why)
        self._said = why

    def _turn_away(self) -> None:
        """Answer those who have connected by now."""
        # The app, which has the same socket, may have changed that.
        self._listening.setblocking(False)
        while True:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(_TURNING_AWAY_SECONDS)
                # What is not read when a socket is closed makes an error of what was sent.
                connection.recv(_MOST_READ)
                connection.sendall(_refusal(is_untrusted=self._is_untrusted))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(_MOST_READ):
                    pass


def _refusal(*, is_untrusted: bool) -> bytes:
    request_id = secrets.token_hex(8)
    body = json.dumps({"message": _UNTRUSTED if is_untrusted else _NOT_STARTED, "request_id": request_id}).encode()
    status = b"501 Not Implemented\r\n" if is_untrusted else b"503 Service Unavailable\r\nretry-after: 10\r\n"
    head = b"HTTP/1.1 " + status + b"connection: close\r\ncontent-type: application/json\r\n"
    about = (request_id.encode(), len(body), body)
    return head + b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % about
