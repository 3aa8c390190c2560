"""A process that imported Feast once and forks: a child of it starts in milliseconds, not in the 5 s of the import.

`Zygote.popen` stands in for `subprocess.Popen` in `featureplane.registry.channel`. The forked process is the real
thing, with a pid, an environment, pipes and an end of its own. Some tests start theirs cold, as users do.
"""

import atexit
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_IMPORTS = (
    "feast.cli.cli",
    "feast.infra.registry.sql",
    "feast.infra.offline_stores.dask",
    "feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source",
    "feast.infra.compute_engines.local.compute",
    "featureplane.plugins.redis",
    "featureplane.registry.writer_process",
    "alembic.command",
    "sqlalchemy.dialects.postgresql.psycopg",
)
_LONGEST_REQUEST = 1 << 17
_STATUS = 3
# As other tests have it, whose modules are not on the path of a script.
_PATIENCE = 180.0
_ABOVE = 1000


class Forked:
    """A running child, with the part of `Popen` that `channel.Child` uses."""

    def __init__(self, pid: int, status: int, stdin: int | None, stdout: int | None) -> None:
        self.pid = pid
        self._status = status
        self.returncode: int | None = None
        self.stdin = os.fdopen(stdin, "wb", buffering=0) if stdin is not None else None
        self.stdout = os.fdopen(stdout, "rb", buffering=0) if stdout is not None else None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("forked", timeout or 0)
            # A process that was killed leaves no last word.
            said = os.read(self._status, 16)
            os.close(self._status)
            self.returncode = int(said) if said else -signal.SIGKILL
        return self.returncode

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Zygote:
    """The parent's side. The process begins to import at once and is waited for when it is first used."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"},
        )
        theirs.close()

    def close(self) -> None:
        self._socket.close()
        self._process.wait(_PATIENCE)

    def popen(
        self, args: Sequence[str], env: Mapping[str, str], stdin: int, stdout: int, stderr: Any, **_: Any
    ) -> Forked:
        """`[python, "-m", MODULE]` as a fork of the zygote."""
        assert (stdin, stdout) == (subprocess.PIPE, subprocess.PIPE)
        theirs_in, mine_in = os.pipe()
        mine_out, theirs_out = os.pipe()
        try:
            return self._fork(
                {"module": args[2], "argv": [args[2]], "env": dict(env)},
                theirs_in,
                theirs_out,
                stderr,
                mine_in,
                mine_out,
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def feast(self, *args: str, env: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Feast's own command line, run in a folder."""
        with Path(os.devnull).open() as nothing, os.fdopen(os.memfd_create("out"), "w+") as out:
            request = {"module": "feast", "argv": ["feast", *args], "env": dict(env), "cwd": str(folder)}
            process = self._fork(request, nothing.fileno(), out.fileno(), out, None, None)
            code = process.wait(_PATIENCE)
            out.seek(0)
            return subprocess.CompletedProcess(request["argv"], code, out.read())

    def _fork(
        self,
        request: Mapping[str, Any],
        stdin: int,
        stdout: int,
        stderr: Any,
        mine_in: int | None,
        mine_out: int | None,
    ) -> Forked:
        status, theirs = os.pipe()
        with Path(os.devnull).open("w") as nowhere:
            errors = nowhere if stderr in {None, subprocess.DEVNULL} else stderr
            message = json.dumps(request).encode()
            assert len(message) < _LONGEST_REQUEST
            socket.send_fds(self._socket, [message], [stdin, stdout, errors.fileno(), theirs])
        os.close(theirs)
        pid = int(self._socket.recv(32) or b"0")
        assert pid, "the zygote died"
        return Forked(pid, status, mine_in, mine_out)


def main(control: socket.socket) -> None:
    """The zygote's side: import, then fork for each request until the parent is gone."""
    import importlib

    for name in _IMPORTS:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, handles, _, _ = socket.recv_fds(control, _LONGEST_REQUEST, 4)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            _become(json.loads(message), handles)
        for handle in handles:
            os.close(handle)
        control.send(str(pid).encode())


def _become(request: dict[str, Any], handles: Sequence[int]) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        above = [fcntl.fcntl(handle, fcntl.F_DUPFD, _ABOVE) for handle in handles]
        for target, handle in enumerate(above):  # standard input, output and error, and where the last word goes
            os.dup2(handle, target, inheritable=target < _STATUS)
        os.closerange(_STATUS + 1, _ABOVE + 1024)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, closefd=False) for number, mode in ((0, "r"), (1, "w"), (2, "w"))
        )
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request.get("cwd", "."))
        sys.argv = request["argv"]
        if request["module"] == "feast":
            from feast.cli.cli import cli

            cli()
        else:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the last chance to say it
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()  # noqa: SLF001 - what an interpreter's own end would do
            sys.stdout.flush()
            sys.stderr.flush()
        os.write(_STATUS, str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
