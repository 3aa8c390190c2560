"""Feast's remote registry and offline servers as processes, so that a notebook needs no password of a database."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from featureplane.errors import FeatureplaneError
from featureplane.model.feast_project import FeastProject
from featureplane.registry.trust import refuse_code
from featureplane.rendering.repo import feature_store
from featureplane.serving.child import bracketed
from featureplane.serving.process import ServerProcess
from featureplane.settings import Stores

Kind = Literal["registry", "offline"]

_MODULES: dict[Kind, str] = {
    "registry": "featureplane.serving.registry_process",
    "offline": "featureplane.serving.offline_process",
}


@dataclass
class RemoteServer:
    """A server that answers, at `address` (host:port)."""

    address: str
    _process: ServerProcess = field(repr=False)

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self._process.wait()


@contextmanager
def remote(
    kind: Kind,
    project: FeastProject,
    stores: Stores,
    repo_path: Path,
    where: tuple[str, int] = ("127.0.0.1", 0),
    log: TextIO | None = None,
) -> Iterator[RemoteServer]:
    """A server on an address and port (0: a free one) that only reads, stopped with the block.

    Raises FeatureplaneError where the registry holds code, or the server ended instead of starting.
    """
    host, port = where
    refuse_code(project, stores.postgres)
    request = {"feature_store": feature_store(project), "repo_path": str(repo_path), "host": host, "port": port}
    process = ServerProcess(_MODULES[kind], request, stores, log, answers=True)
    try:
        yield RemoteServer(f"{bracketed(host)}:{_announced_port(process)}", process)
    finally:
        process.stop()


def _announced_port(process: ServerProcess) -> int:
    line = b""
    while not line.endswith(b"\n"):
        if not (data := os.read(process.answers, 4096)):
            raise FeatureplaneError(f"the server ended before it was ready (exit status {process.wait()})")
        line += data
    return int(json.loads(line)["port"])
