"""The feature server as a process: started, waited for, stopped."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import httpx

from featureplane.errors import FeatureplaneError
from featureplane.model.feast_project import FeastProject
from featureplane.registry.database import database_exists
from featureplane.registry.trust import refuse_code
from featureplane.rendering.repo import feature_store
from featureplane.settings import Stores, child_environment

_READY_SECONDS = 90.0
_STOP_SECONDS = 10.0
# A change of the registry is seen after this long.
_REGISTRY_TTL_SECONDS = 2


@dataclass
class Server:
    """A running server; `url` has no slash at its end."""

    url: str
    _process: subprocess.Popen[bytes] = field(repr=False)

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Return when `/health` answers; raises FeatureplaneError when the process ends first or time is up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise FeatureplaneError(
                    f"the server ended before it was ready (exit status {self._process.returncode})"
                )
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=1.0).is_success:
                    return
            time.sleep(0.1)
        raise FeatureplaneError(f"the server was not ready after {seconds:.0f} s")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self._process.wait()

    def stop(self) -> None:
        """Let the server finish its requests, then end it."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def serving(
    project: FeastProject,
    stores: Stores,
    repo_path: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    log: TextIO | None = None,
) -> Iterator[Server]:
    """A server on `host` and `port` (0: a free one), stopped with the block. It may not be ready yet.

    Raises FeatureplaneError when somebody else listens there, or there is no registry, or one with code in it.
    """
    if not database_exists(stores.postgres):
        raise FeatureplaneError(f"there is no registry at {stores.postgres} yet; run featureplane apply first")
    refuse_code(project, stores.postgres)
    with _claim(host, port) as claimed:
        port, descriptor = claimed.getsockname()[1], claimed.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "featureplane.serving.feast_process"],
            env={**child_environment(stores), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.PIPE,
            stdout=log or subprocess.DEVNULL,
            stderr=log or subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,
        )
    server = Server(f"http://{f'[{host}]' if ':' in host else host}:{port}", process)
    try:
        request = {
            "feature_store": feature_store(project),
            "repo_path": str(repo_path),
            "host": host,
            "port": port,
            "socket": descriptor,
            "workers": project.spec.server.workers,
            "registry_ttl_seconds": _REGISTRY_TTL_SECONDS,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        yield server
    finally:
        server.stop()


def _claim(host: str, port: int) -> socket.socket:
    """A socket bound to the port, or to a free one for 0, that does not listen yet.

    The server gets this very socket: it takes seconds to start, and a port that is only known to be free may be
    somebody else's by then.
    """
    claimed = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # A port that is named may still have connections of an earlier server; a free one is for nobody else.
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port != 0)
    try:
        claimed.bind((host, port))
    except OSError as error:
        claimed.close()
        raise FeatureplaneError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from error
    return claimed
