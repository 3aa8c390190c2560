"""Write the operator's manifests to `deploy/`, or with `--check` say where the files differ from what they are made of.

Run by `make generate` and `make verify`.
"""

import difflib
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from generated import write_or_check

from featureplane.manifests.operator_deployment import NAMESPACE, operator

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
_MADE = "# Generated from operator/featureplane/manifests by `make generate`; do not edit.\n"
_OWN = """\
# The operator for one namespace, the one that it is in:
#     kubectl apply --server-side -f crds/
#     kubectl apply -n NAMESPACE -f deploy/operator.yaml
"""
_ALL = f"""\
# The operator for all namespaces, itself in {NAMESPACE}. It may read every Secret by its name:
#     kubectl apply --server-side -f crds/
#     kubectl create namespace {NAMESPACE}
#     kubectl apply -f deploy/operator-all-namespaces.yaml
"""


def files() -> dict[str, str]:
    """Every file of `deploy/`, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    image = f"{project['name']}:{project['version']}"
    return {
        "operator.yaml": _MADE + _OWN + _text(operator(image, "own")),
        "operator-all-namespaces.yaml": _MADE + _ALL + _text(operator(image, "all")),
    }


def _text(objects: Iterable[Mapping[str, Any]]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False, width=120, explicit_start=True)


def check(folder: Path) -> str:
    """A unified diff from what lies in `folder` to what should; empty when they are the same."""
    diffs: list[str] = []
    for name, text in files().items():
        path = folder / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = (found.splitlines(keepends=True), text.splitlines(keepends=True))
        diffs += difflib.unified_diff(*lines, f"deploy/{name}", f"deploy/{name} (generated)")
    return "".join(diffs)


def write(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, partial(write, DEPLOY), partial(check, DEPLOY)))
