"""The feature server as a process: started, waited for, stopped."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import httpx

from featureplane.errors import FeatureplaneError
from featureplane.model.feast_project import FeastProject
from featureplane.online.cassandra_errors import place_of
from featureplane.registry.database import database_exists
from featureplane.registry.trust import refuse_code
from featureplane.rendering.repo import feature_store
from featureplane.serving.access.described import described
from featureplane.serving.child import bracketed
from featureplane.serving.listening import Where, claim, claim_shared
from featureplane.serving.metrics_files import forget
from featureplane.serving.on_demand import on_demand
from featureplane.serving.process import ServerProcess
from featureplane.serving.workers import Workers
from featureplane.settings import Stores

_READY_SECONDS = 90.0
# A change of the registry is seen after this long.
_REGISTRY_TTL_SECONDS = 2
_SOMEWHERE = Where()


class NotReady(FeatureplaneError):
    """The server runs, and does not answer in time."""


@dataclass
class Server:
    """A running server; `url` has no slash at its end, `grpc` is host:port, empty where there is none."""

    url: str
    grpc: str
    _workers: Workers = field(repr=False)

    def __str__(self) -> str:
        return f"{self.url} and over gRPC at {self.grpc}" if self.grpc else self.url

    def wait_until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Let it read the registry, and return when `/health` answers.

        What was written before this call is served from the first answer on. Raises FeatureplaneError when the process
        ends first, NotReady when time is up.
        """
        self._workers.go_on()
        deadline = time.monotonic() + seconds
        # A proxy of the environment is for other machines than this one, and so are the names of a certificate: whether
        # the server of our own port answers is all that is asked.
        with httpx.Client(trust_env=False, timeout=1.0, verify=False) as client:  # noqa: S501
            while time.monotonic() < deadline:
                if not self._workers.is_running:
                    raise FeatureplaneError(
                        f"the server ended before it was ready (exit status {self._workers.exit_status})"
                    )
                with suppress(httpx.HTTPError):
                    if client.get(f"{self.url}/health").is_success:
                        return
                time.sleep(0.1)
        raise NotReady(f"the server was not ready after {seconds:.0f} s")

    @property
    def is_running(self) -> bool:
        return self._workers.is_running

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self._workers.wait()


@contextmanager
def serving(
    project: FeastProject,
    stores: Stores,
    repo_path: Path,
    where: Where = _SOMEWHERE,
    log: TextIO | None = None,
    *,
    is_versioned: bool = False,
) -> Iterator[Server]:
    """A server that is stopped with the block. It answers once somebody waits for it.

    A project that `is_versioned` keeps rows of each version of a view (Feast's enable_online_feature_view_versioning).
    What the fast path does not answer goes to Feast's own app, started when first needed, unless there is code in the
    registry. Raises FeatureplaneError when somebody else listens there, when there is no registry, or where the files
    of a certificate cannot be used.
    """
    if not database_exists(stores.postgres):
        raise FeatureplaneError(f"there is no registry at {stores.postgres} yet; run featureplane apply first")

    def say(what: str) -> None:
        print(what, file=log or sys.stderr, flush=True)

    def complain(why: str) -> None:
        say(f"Feast's own app is not there: {why}")

    feast = partial(_feast, project, stores, repo_path, log, is_versioned)
    key_ttl = project.spec.online_store.redis.key_ttl
    secure = where.tls() is not None
    with ExitStack() as stack:
        claimed = stack.enter_context(claim(where.host, where.port))
        shared = None
        if where.grpc_port is not None:
            shared = stack.enter_context(claim_shared(where.host, where.grpc_port))
        metrics = stack.enter_context(TemporaryDirectory(prefix="featureplane-metrics-"))
        feast_socket = stack.enter_context(on_demand(feast, complain))
        request = {
            "project": project.spec.project,
            "socket": claimed.fileno(),
            "feast_socket": str(feast_socket),
            "metrics": metrics,
            "workers": project.spec.server.workers,
            "started": time.time(),
            "writes": project.spec.server.writes.enabled,
            "cassandra": _cassandra(project),
            "key_ttl_seconds": int(key_ttl.total_seconds()) if key_ttl else 0,
            "versioned": is_versioned,
            "keeps_expired": project.spec.server.expired_values == "Status",
            "access": described(project),
            "grpc": shared and _address(shared),
            "tls": [str(where.certificate), str(where.key)] if secure else None,
        }

        def worker() -> ServerProcess:
            return ServerProcess(
                "featureplane.serving.worker_process", request, stores, log, pass_fds=[claimed.fileno()]
            )

        workers = Workers(worker, project.spec.server.workers, partial(forget, Path(metrics)), say)
        try:
            url = f"http{'s' if secure else ''}://{bracketed(where.host)}:{claimed.getsockname()[1]}"
            yield Server(url, ":".join(map(str, _address(shared))) if shared else "", workers)
        finally:
            # Workers close theirs when they have answered what waits there; then nobody listens.
            claimed.close()
            workers.stop()


def _cassandra(project: FeastProject) -> dict[str, Any] | None:
    """Where the rows are that only Feast's own app reads; None where they are in Redis."""
    store = project.spec.online_store.cassandra
    return {"place": place_of(store), "addresses": [(host, store.port) for host in store.hosts]} if store else None


def _feast(
    project: FeastProject,
    stores: Stores,
    repo_path: Path,
    log: TextIO | None,
    is_versioned: bool,  # noqa: FBT001 - bound by `partial`, with all the others
    descriptor: int,
) -> ServerProcess:
    """Feast's own app on a socket. Raises FeatureplaneError where the registry holds code that it would execute."""
    refuse_code(project, stores.postgres)
    config = feature_store(project)
    # A server makes no tables, whatever its role may do.
    registry = {**config["registry"], "schema_mode": "verify"}
    registry["enable_online_feature_view_versioning"] = is_versioned
    request = {
        "feature_store": {**config, "registry": registry},
        "repo_path": str(repo_path),
        "socket": descriptor,
        "writes": project.spec.server.writes.enabled,
        "registry_ttl_seconds": _REGISTRY_TTL_SECONDS,
    }
    return ServerProcess("featureplane.serving.feast_process", request, stores, log, pass_fds=[descriptor])


def _address(bound: socket.socket) -> tuple[str, int]:
    host, port = bound.getsockname()[:2]
    return bracketed(host), port
