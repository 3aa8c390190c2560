"""The cluster of a machine with Docker: kind, whose node is a container. Named for the tests as any cluster is."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "featureplane-e2e"
_MODULE = "sigs.k8s.io/kind@v0.31.0"


class KindError(Exception):
    """There is Docker, and still no cluster."""


def docker_answers() -> bool:
    return bool(shutil.which("docker")) and not _fails(["docker", "info"])


def require() -> None:
    """Raises KindError where Docker answers and something else is missing."""
    for name, where in (("kind", f"go install {_MODULE}"), ("kubectl", "https://kubernetes.io/docs/tasks/tools/")):
        if not shutil.which(name):
            raise KindError(f"Docker answers, but there is no {name} on PATH: {where}")


@contextmanager
def cluster(kubeconfig: Path, volumes: Path, images: list[str]) -> Iterator[None]:
    """A cluster of its own with `images`, whose node sees `volumes` under the same path. Raises KindError."""
    node = f"nodes: [{{role: control-plane, extraMounts: [{{hostPath: {volumes}, containerPath: {volumes}}}]}}]"
    config = f"kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n{node}\n"
    named = ["--name", _NAME]
    _run(["kind", "delete", "cluster", *named])  # of a run that was killed
    try:
        create = ["kind", "create", "cluster", *named, "--kubeconfig", str(kubeconfig), "--wait=120s", "--config=-"]
        _run(create, config)
        _run(["kind", "load", "docker-image", *named, *images])
        yield
    finally:
        _run(["kind", "delete", "cluster", *named])


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode != 0


def _run(command: list[str], given: str | None = None) -> None:
    if subprocess.run(command, check=False, input=given, text=True, stdout=sys.stderr).returncode:
        raise KindError(f"{' '.join(command[:3])} failed; what it said stands above")
