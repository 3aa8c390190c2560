"""The release before this one: until there is one, this one as it might have been.

Its chart and the tag of its image, which is the same, have a lower version, and its CRDs lack a field.
"""

import shutil
from pathlib import Path
from typing import Any

import yaml

from e2e.paths import CHART

VERSION = "0.0.9"
# What a FeastProject's `server` has not had yet.
FIELD = "sources"
CRD = "feastprojects.featureplane.dev"


def chart(folder: Path) -> Path:
    """Written to `folder`, which is not there yet."""
    shutil.copytree(CHART, folder)
    _change(folder / "Chart.yaml", lambda about: about.update(version=VERSION, appVersion=VERSION))
    _change(folder / "crds" / "featureplane.dev_feastprojects.yaml", lambda crd: fields(crd).pop(FIELD))
    return folder


def fields(crd: dict[str, Any]) -> dict[str, Any]:
    """Those of a FeastProject's server, by the CRD."""
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found: dict[str, Any] = spec["server"]["properties"]
    return found


def _change(path: Path, change: Any) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
