"""One server of the control plane, as its owner sees it: start, look, stop. The work is done by its keeper."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kube import keeper

_LAST_LINES = 15
_PATIENCE = 20.0


class ServerError(Exception):
    """A server did not start, or ended on its own; the text has the last lines of its log."""


class Port:
    """A port of the loopback that is ours until we let go, also while no server listens on it.

    A port that is only looked up may be another process's before the server opens it, and once more while an API server
    restarts. So it stays bound here, and the server shares it (SO_REUSEPORT); a socket that never listens gets nothing.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


class Server:
    """A running program with a keeper. `doomed` is the folder to remove should we be killed."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, doomed: Path | None) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._keeper = subprocess.Popen(
                # -I -S: nothing but the standard library, and a start in 20 ms
                [sys.executable, "-I", "-S", keeper.__file__, str(doomed or "-"), *command],
                cwd=folder,
                # Neither ETCD_* nor proxies nor the user's KUBECONFIG.
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "TMPDIR": str(folder)},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is ours alone
            )

    def check(self) -> None:
        """Raises ServerError when it has ended."""
        if (code := self._keeper.poll()) is not None:
            raise self.failure(f"ended with code {code}")

    def failure(self, what: str) -> ServerError:
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        said = "\n".join(f"    {line}" for line in lines)
        return ServerError(f"{self.name} {what}; the end of {self.log}:\n{said}")

    def terminate(self) -> None:
        """Ask it to end, kill it after three seconds, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGUSR1)

    def let_go(self) -> None:
        """Have it killed, without waiting: several end in the time of one."""
        assert self._keeper.stdin is not None
        with suppress(OSError):
            self._keeper.stdin.close()

    def wait(self) -> None:
        try:
            self._keeper.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # takes the server with it
            self._keeper.wait()

    def _end(self, number: signal.Signals) -> None:
        self._keeper.send_signal(number)
        self.wait()
        self.let_go()
