"""Run one server, and end it when whoever started us ends, however that happens. Stands alone: run as a script.

    python keeper.py FOLDER_TO_REMOVE_OR_- COMMAND...

Standard input is a pipe whose other end the tests hold. When it closes, the server is killed and the folder removed.
This is how a control plane stops, and what happens after kill -9 of pytest, too. A process between the two, rather
than PR_SET_PDEATHSIG in the server alone, because that signal comes when the *thread* that started the server ends, and
tests start servers from threads too. Our server has it from us: we have one thread, and it lives as long as we do.

SIGTERM asks the server to end and kills it when it takes too long; SIGUSR1 kills it at once. The folder then stays.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

PATIENCE = 3.0  # an API server with open watches would take a minute
_PR_SET_PDEATHSIG = 1
_TICK = 1.0
_STDIN = 0


def die_with_parent():
    """In the server before it is one: Linux kills it when we are killed. Elsewhere kill -9 of a keeper leaves it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wake_on_signals() -> int:
    """A descriptor from which the number of each signal can be read; no signal does anything else."""
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda _number, _frame: None)
    return woken


def keep(command: list[str]) -> tuple[int, bool]:
    """The server's exit code, and whether it ended because our parent did."""
    parent, woken = os.getppid(), wake_on_signals()
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: PLW1509 - one thread
    deadline, orphaned = float("inf"), False
    while server.poll() is None:
        readable, _, _ = select.select([_STDIN, woken], [], [], min(_TICK, max(0.0, deadline - time.monotonic())))
        # Somebody may hold a copy of the pipe (a process forked by pytest), so the parent's number counts as well.
        orphaned = _STDIN in readable or os.getppid() != parent
        numbers = os.read(woken, 4096) if woken in readable else b""
        if orphaned or signal.SIGUSR1 in numbers or time.monotonic() >= deadline:
            server.kill()
            server.wait()
        elif signal.SIGTERM in numbers:
            server.terminate()
            deadline = time.monotonic() + PATIENCE
    return server.returncode, orphaned


def remove(folder: str) -> None:
    """Three keepers may do this at once, and a server not yet dead may write: once more when something is left."""
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):  # noqa: PTH110 - pathlib would double the time that it takes us to start
            return
        time.sleep(0.05)


def main() -> None:
    folder, command = sys.argv[1], sys.argv[2:]
    code, orphaned = keep(command)
    if orphaned and folder != "-":
        with suppress(OSError):
            os.chdir("/")
        remove(folder)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
