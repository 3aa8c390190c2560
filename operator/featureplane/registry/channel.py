"""JSON lines between a process that must not import Feast and a child that does.

The child's standard output is the channel, so whatever Feast prints goes to standard error instead. The child ends when
its standard input does: a parent that was killed leaves no child behind.
"""

import json
import math
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TextIO

from featureplane import errors
from featureplane.errors import ChildDied, FeatureplaneError

Message = Mapping[str, Any]
# The longest that a child may say nothing: importing Feast takes 5 s, a batch of the registry less than this.
PATIENCE_SECONDS = 120.0
_STOP_SECONDS = 5.0
_WAIT_SECONDS = 1.0


class Child:
    """A child process of ours, started with `python -m MODULE`. Not thread-safe: one request at a time."""

    def __init__(self, module: str, environment: Mapping[str, str], *, log: TextIO | None = None) -> None:
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-m", module],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log if log is not None else subprocess.DEVNULL,
            # Ctrl-C in a terminal goes to the parent, which then ends its children in order.
            start_new_session=True,
        )
        self._buffer = b""
        self._unread = 0

    def ask(
        self,
        request: Message,
        on_progress: Callable[[Message], None] = lambda _: None,
        patience: float | None = PATIENCE_SECONDS,
        on_wait: Callable[[], None] | None = None,
    ) -> Message:
        """Send a request and return its answer; messages with `progress` on the way go to `on_progress`.

        `on_wait` is called about every second of waiting; what it raises ends the child and is raised here. Raises the
        error that the child reports, or ChildDied when it ends or says nothing for `patience` seconds (None: however
        long).
        """
        while self._unread:
            self._unread -= 1
            self._answer(lambda _: None, PATIENCE_SECONDS, None)
        self._send(request)
        return self._answer(on_progress, patience, on_wait)

    def tell(self, request: Message) -> None:
        """Send a request without waiting; its answer, or its error, comes before the next `ask`'s."""
        self._send(request)
        self._unread += 1

    def _send(self, request: Message) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildDied(f"{self._module} ended before it was asked ({self._ending()})") from error

    def _answer(
        self, on_progress: Callable[[Message], None], patience: float | None, on_wait: Callable[[], None] | None
    ) -> Message:
        while True:
            answer = json.loads(self._line(patience, on_wait))
            if "progress" in answer:
                on_progress(answer["progress"])
            elif "error" in answer:
                raise _error(answer)
            else:
                return dict(answer)

    def _line(self, patience: float | None, on_wait: Callable[[], None] | None) -> bytes:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not self._is_heard(selector, patience, on_wait):
                    self.kill()
                    raise ChildDied(f"{self._module} said nothing for {patience:.0f} s and was stopped")
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    raise ChildDied(f"{self._module} ended without an answer ({self._ending()})")
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _is_heard(
        self, selector: selectors.BaseSelector, patience: float | None, on_wait: Callable[[], None] | None
    ) -> bool:
        """Wait for the child to say something. False when it did not for that long."""
        if on_wait is None:
            return bool(selector.select(patience))
        end = math.inf if patience is None else time.monotonic() + patience
        while not selector.select(min(_WAIT_SECONDS, max(end - time.monotonic(), 0))):
            if time.monotonic() >= end:
                return False
            try:
                on_wait()
            except BaseException:
                self.kill()
                raise
        return True

    def _ending(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            return f"exit status {self._process.wait(_STOP_SECONDS)}"
        return "still running"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the child: it finishes what it does, for at most a few seconds."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _error(answer: Message) -> FeatureplaneError:
    kind = getattr(errors, answer["error"], None)
    if (
        isinstance(kind, type)
        and issubclass(kind, FeatureplaneError)
        and kind not in {errors.InputError, errors.PlanRefused}
    ):
        return kind(answer["message"])
    return FeatureplaneError(answer["message"])


def serve(answer: Callable[[Message, Callable[[Message], None]], Message]) -> None:
    """The child's side: answer requests until standard input ends.

    `answer(request, progress)` returns the answer or raises; every error becomes an answer with its class and message.
    """
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: Message) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    for line in _lines():
        try:
            send(answer(json.loads(line), lambda progress: send({"progress": progress})))
        except FeatureplaneError as error:
            send({"error": type(error).__name__, "message": str(error)})
        except Exception as error:  # noqa: BLE001 - the parent decides; a child that dies says less
            send({"error": "FeatureplaneError", "message": f"{type(error).__name__}: {error}"})


def _lines() -> Iterator[str]:
    while line := sys.stdin.readline():
        yield line
