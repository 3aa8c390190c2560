"""Which Kubernetes tests may touch: one made for them, or the one that somebody named for them. No other.

A test deletes what it finds. So nothing here reads $KUBECONFIG, and `~/.kube/config` is refused even by name: the
clusters that people work with are there, and one wrong current-context away is production.

    FEATUREPLANE_TEST_KUBECONFIG   a kubeconfig; without it tests start a control plane of their own
    FEATUREPLANE_TEST_CONTEXT      a context in it; without it the file's current one
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kube.control_plane import CONTEXT, ControlPlane

FILE_VARIABLE, CONTEXT_VARIABLE = "FEATUREPLANE_TEST_KUBECONFIG", "FEATUREPLANE_TEST_CONTEXT"
# In a kubeconfig these are paths, and relative to it.
_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class GuardError(Exception):
    """What was named is not a cluster for tests; the text says what to name instead."""


@dataclass(frozen=True)
class Cluster:
    """Where tests may work. `kubeconfig` has one context, so that a client which asks for none gets the right one."""

    kubeconfig: Path
    context: str
    control_plane: ControlPlane | None  # None when it is not ours, and cannot be restarted

    def environment(self) -> dict[str, str]:
        """This process's environment for a child that finds its cluster by itself: it finds this one."""
        other = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
        return {**{k: v for k, v in os.environ.items() if k not in other}, "KUBECONFIG": str(self.kubeconfig)}


@contextmanager
def test_kubeconfig() -> Iterator[Cluster]:
    """The cluster for tests, for as long as the block runs. Raises GuardError when the named one is refused."""
    content = named_cluster(os.environ)
    if content is None:
        with ControlPlane() as control_plane:
            yield Cluster(control_plane.kubeconfig, CONTEXT, control_plane)
        return
    with tempfile.TemporaryDirectory(prefix="featureplane-kube-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(content))
        yield Cluster(kubeconfig, content["current-context"], None)


test_kubeconfig.__test__ = False  # its name is what a reader looks for, and pytest must not take it for a test


def named_cluster(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The named file with nothing but the named context in it, None when none is named. Raises GuardError."""
    named, context = environ.get(FILE_VARIABLE), environ.get(CONTEXT_VARIABLE)
    if not named:
        if context:
            raise GuardError(f"{CONTEXT_VARIABLE} is set to {context!r} without {FILE_VARIABLE}: which file is it in?")
        return None
    path = Path(named).absolute()
    if path.resolve() == (Path.home() / ".kube" / "config").resolve():
        raise GuardError(
            f"{FILE_VARIABLE} is {named}, where your own clusters are; tests never use it. Write the one for tests to "
            f"a file of its own: kubectl config view --minify --flatten --context NAME > FILE",
        )
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GuardError(f"{FILE_VARIABLE} is {named}, which cannot be read as a kubeconfig: {error}") from error
    if not isinstance(content, dict):
        raise GuardError(f"{FILE_VARIABLE} is {named}, which is no kubeconfig")
    return _only(content, context or content.get("current-context") or "", path)


def _only(content: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    context = _entry(content, "contexts", name, path)
    cluster = _entry(content, "clusters", context["context"]["cluster"], path)
    user = _entry(content, "users", context["context"]["user"], path)
    for part in (cluster["cluster"], user["user"]):
        for key in _PATHS:
            if part.get(key):
                part[key] = str(path.parent / part[key])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [user],
        "contexts": [context],
        "current-context": name,
    }


def _entry(content: dict[str, Any], kind: str, name: str, path: Path) -> dict[str, Any]:
    entries = content.get(kind) or []
    for entry in entries:
        if entry["name"] == name:
            return entry
    known = ", ".join(entry["name"] for entry in entries) or "none"
    asked = f"no {name!r}" if name else f"no current-context, and {CONTEXT_VARIABLE} is not set"
    raise GuardError(f"{path} has {asked}; its {kind}: {known}")
