"""The feature server as a process: started, waited for, stopped."""

import socket
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
from featureplane.serving.child import bracketed
from featureplane.serving.process import ServerProcess
from featureplane.settings import Stores

_READY_SECONDS = 90.0
# A change of the registry is seen after this long.
_REGISTRY_TTL_SECONDS = 2


@dataclass
class Server:
    """A running server; `url` has no slash at its end."""

    url: str
    _process: ServerProcess = field(repr=False)

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Let it read the registry, and return when `/health` answers.

        What was written before this call is served from the first answer on. Raises FeatureplaneError when the process
        ends first or time is up.
        """
        self._process.go_on()
        deadline = time.monotonic() + seconds
        # A proxy of the environment is for other machines than this one.
        with httpx.Client(trust_env=False, timeout=1.0) as client:
            while time.monotonic() < deadline:
                if not self._process.is_running:
                    raise FeatureplaneError(
                        f"the server ended before it was ready (exit status {self._process.exit_status})"
                    )
                with suppress(httpx.HTTPError):
                    if client.get(f"{self.url}/health").is_success:
                        return
                time.sleep(0.1)
        raise FeatureplaneError(f"the server was not ready after {seconds:.0f} s")

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self._process.wait()


@contextmanager
def serving(
    project: FeastProject,
    stores: Stores,
    repo_path: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    log: TextIO | None = None,
) -> Iterator[Server]:
    """A server on `host` and `port` (0: a free one), stopped with the block. It answers once somebody waits for it.

    Raises FeatureplaneError when somebody else listens there, or there is no registry, or one with code in it.
    """
    if not database_exists(stores.postgres):
        raise FeatureplaneError(f"there is no registry at {stores.postgres} yet; run featureplane apply first")
    refuse_code(project, stores.postgres)
    with _claim(host, port) as claimed:
        port, descriptor = claimed.getsockname()[1], claimed.fileno()
        request = {
            "feature_store": feature_store(project),
            "repo_path": str(repo_path),
            "host": host,
            "port": port,
            "socket": descriptor,
            "workers": project.spec.server.workers,
            "writes": project.spec.server.writes.enabled,
            "registry_ttl_seconds": _REGISTRY_TTL_SECONDS,
        }
        process = ServerProcess(
            "featureplane.serving.feast_process", request, stores, log, pass_fds=[descriptor]
        )  # fmt: skip
    try:
        yield Server(f"http://{bracketed(host)}:{port}", process)
    finally:
        process.stop()


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
