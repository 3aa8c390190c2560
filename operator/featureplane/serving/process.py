"""A server as a child process: started with a request on its standard input, ended by the end of that input."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from featureplane.settings import Stores, child_environment

_STOP_SECONDS = 10.0


class ServerProcess:
    """`python -m MODULE`, with the stores in its environment. What it says goes to `log`, or nowhere.

    With `answers`, its standard output is a pipe that the caller reads (see `child.Announcement`).
    """

    def __init__(
        self,
        module: str,
        request: Mapping[str, Any],
        stores: Stores,
        log: TextIO | None = None,
        *,
        pass_fds: Sequence[int] = (),
        answers: bool = False,
    ) -> None:
        words = log or subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-m", module],
            env={**child_environment(stores), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else words,
            stderr=words,
            pass_fds=list(pass_fds),
            # Ctrl-C in a terminal goes to the parent, which then ends its children in order.
            start_new_session=True,
        )
        self._say(json.dumps(request))

    def go_on(self) -> None:
        """Let a server begin that waits for the word (see `child.when_parent_ends`)."""
        self._say("")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: whoever waits for it sees that
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        return self._process.poll()

    @property
    def answers(self) -> int:
        """The descriptor that its standard output is read from."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self._process.wait()

    def ask_to_end(self) -> None:
        """Let the server finish its requests and end."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Let the server finish its requests, then end it when it takes longer than that."""
        self.ask_to_end()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
