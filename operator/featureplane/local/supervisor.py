"""The guardian's hands: start a server, wait for it, notice its death or the parent's, and stop what was started.

Servers inherit no terminal, no pipe and no lock: their output goes to a file in the folder, so nobody who reads our
output to its end waits for them.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from featureplane.errors import LocalStoreError
from featureplane.local.account import Account, before_exec

# What to send, and how many seconds to wait for the end before the next.
Ladder = tuple[tuple[signal.Signals, float], ...]

_STDIN = 0
_TICK = 0.01
_LAST_LINES = 15


class ParentEnded(Exception):
    """The parent closed its end, was killed, or somebody asked us to end by SIGTERM."""


@dataclass(frozen=True)
class Program:
    """A command to run: `folder` is its working folder, `log` gets its output, `given` is its standard input."""

    name: str
    command: Sequence[str]
    folder: Path
    log: Path
    ladder: Ladder
    account: Account | None = None
    given: str = ""


@dataclass(frozen=True)
class Server:
    """A program that was started."""

    program: Program
    process: subprocess.Popen[bytes]

    def failure(self, what: str) -> LocalStoreError:
        """The error that says what happened to this server, where, and in its own words."""
        log = self.program.log
        return LocalStoreError(f"{self.program.name} in {self.program.folder} {what}; the end of {log}:\n{tail(log)}")


class Supervisor:
    """Everything that was started, and the one place that waits: each wait ends at once when the parent ends."""

    def __init__(self, environment: Mapping[str, str], deadline: float) -> None:
        self._environment = environment
        self._deadline = deadline
        self._servers: list[Server] = []
        self._folders: list[Path] = []
        self._terminated = False
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        # A handler rather than SIG_IGN, which the servers would inherit. SIGINT and SIGHUP only wake us.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)

    def start(self, program: Program) -> Server:
        descriptor = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own binaries; PLW1509: this process has one thread
                program.command,
                cwd=program.folder,
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                preexec_fn=before_exec(program.account, program.ladder[0][0]),  # noqa: PLW1509 - see above
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise LocalStoreError(f"{program.name} cannot be run from {program.command[0]}: {error}") from error
        finally:
            os.close(descriptor)
        server = Server(program, process)
        self._servers.append(server)
        assert process.stdin is not None
        try:
            process.stdin.write(program.given.encode())
            process.stdin.close()
        except BrokenPipeError:  # it ended before it read; whoever waits for it says so
            pass
        return server

    def run(self, program: Program) -> None:
        """Run a command to its end; raises LocalStoreError unless it ends well."""
        server = self.start(program)
        while server.process.poll() is None:
            self._pause(server)
        self._servers.remove(server)
        if server.process.returncode:
            raise server.failure(f"failed with code {server.process.returncode}")

    def wait_until(self, ready: Callable[[], bool], server: Server) -> None:
        """Return when `ready()`; raises LocalStoreError when the server ends or takes too long."""
        while not ready():
            if server.process.poll() is not None:
                self._servers.remove(server)
                raise server.failure(f"ended at its start with code {server.process.returncode}")
            self._pause(server)

    def watch(self) -> None:
        """Return never: raises ParentEnded, or LocalStoreError when a server ended on its own."""
        while True:
            for server in self._servers:
                if server.process.poll() is not None:
                    raise server.failure(f"ended on its own with code {server.process.returncode}")
            self._sleep(None)

    def remove_at_end(self, folder: Path) -> None:
        self._folders.append(folder)

    def stop(self) -> None:
        """End every server, all being asked before any is waited for; then remove what is to be removed."""
        running = [server for server in self._servers if server.process.poll() is None]
        for server in running:
            server.process.send_signal(server.program.ladder[0][0])
        for server in running:
            for number, patience in server.program.ladder:
                server.process.send_signal(number)
                try:
                    server.process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        for folder in self._folders:
            _remove(folder)

    def _pause(self, server: Server) -> None:
        if time.monotonic() > self._deadline:
            raise server.failure("did not become ready in time")
        self._sleep(_TICK)

    def _sleep(self, seconds: float | None) -> None:
        """Wait for a signal, at most `seconds`; raises ParentEnded when the parent did or SIGTERM came."""
        readable, _, _ = select.select([_STDIN, self._woken], [], [], seconds)
        if self._woken in readable:
            self._terminated |= signal.SIGTERM in os.read(self._woken, 4096)
        if self._terminated or _STDIN in readable:
            raise ParentEnded


def _remove(folder: Path) -> None:
    """Remove a folder, in which a child of a server that just ended may write for another moment."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def tail(log: Path) -> str:
    """The last lines of a log, indented; whatever cannot be read is empty."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])
