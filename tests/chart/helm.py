"""Helm for the tests: what a chart renders as plain dicts, and what it says where it refuses."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "featureplane"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = "featureplane"
NAMESPACE = "data-platform"

Object = dict[str, Any]


class Refused(Exception):
    """Helm's own words."""


def helm(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Helm asks no cluster unless `env` names one."""
    program = shutil.which("helm", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert program, "there is no helm; install Helm 3.17 or later, where `make` cannot bring it (helm-binary)"
    surroundings = {**os.environ, "KUBECONFIG": os.devnull, **(env or {})}
    done = subprocess.run(
        [program, *arguments], env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def render(values: Mapping[str, Any] | Path | None = None, folder: Path | None = None, *more: str) -> list[Object]:
    """The manifests for these values, hooks included; values that are no file are written into `folder`."""
    return [item for item in yaml.safe_load_all(render_text(values, folder, *more)) if item]


def render_text(values: Mapping[str, Any] | Path | None = None, folder: Path | None = None, *more: str) -> str:
    arguments = ["template", RELEASE, str(CHART), "--namespace", NAMESPACE, *more]
    if values is not None and not isinstance(values, Path):
        assert folder, "values need a folder to be written to"
        (folder / "values.yaml").write_text(yaml.safe_dump(values))
        values = folder / "values.yaml"
    return helm(*arguments, *(["--values", str(values)] if values else []))


def one(items: list[Object], kind: str, name: str = "") -> Object:
    """The only object of this kind, or the one whose name ends so."""
    found = [item for item in items if item["kind"] == kind and item["metadata"]["name"].endswith(name)]
    assert len(found) == 1, [(item["kind"], item["metadata"]["name"]) for item in items]
    return found[0]


def pod_specs(items: list[Object]) -> dict[str, Object]:
    """The spec of every pod that the manifests make, by its owner's kind and name."""
    found = {}
    for item in items:
        spec = item.get("spec", {})
        if item["kind"] == "Pod":
            found[f"Pod {item['metadata']['name']}"] = spec
        elif isinstance(spec, dict) and "spec" in (template := spec.get("template", {})):
            found[f"{item['kind']} {item['metadata']['name']}"] = template["spec"]
    return found


def is_hook(item: Object) -> bool:
    return "helm.sh/hook" in item["metadata"].get("annotations", {})
