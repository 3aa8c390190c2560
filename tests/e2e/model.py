"""One model of examples/model-platform, as its team makes it: a release of its own, beside those of others.

The team has no rights outside its namespace, as docs/install.md says how: CRDs are there, and it leaves them alone.
"""

import time
from pathlib import Path
from typing import Any

import yaml

from e2e.paths import EXAMPLES
from e2e.release import Release, generate, trial
from e2e.whole import Whole

_PLATFORM = EXAMPLES / "model-platform"
_MODELS = ("model-a", "model-b")
_UNTIL_GONE = "--timeout=180s"
# All have to fit on a node of two cores beside the reference deployment, and a run, which sets half a core aside.
_SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}}
_OFF = {"enabled": False}


class Model(Release):
    """Namespace and FeastProject have the model's name."""

    def __init__(self, whole: Whole, volumes: Path, name: str) -> None:
        super().__init__(whole, name, name, volumes / "models" / name)

    def install(self) -> None:
        """Operator, stores, project and views at once: each waits for what it needs."""
        self.kubectl("create", "namespace", self.namespace)
        self.apply(*self.lake_volume())
        values = self.lake.with_suffix(".yaml")
        values.write_text(yaml.safe_dump(self._values()))
        self.helm("install", "--skip-crds", "--values", str(values))
        wanted = [path for path in sorted((_PLATFORM / self.project).iterdir()) if path.name != "project.yaml"]
        self.kubectl("apply", *(f"--filename={path}" for path in wanted))

    def wait(self) -> None:
        try:
            self.wait_for_views()
            self.kubectl("wait", "--for=condition=Ready", f"fproj/{self.project}", "--timeout=300s")
        except AssertionError:
            self.tell()
            raise

    def delete(self) -> None:
        """Nothing of it is left, in the cluster or in the lake's volume."""
        if self.is_there:
            self.helm("uninstall", "--wait", _UNTIL_GONE)
        self.whole.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", _UNTIL_GONE)
        self.whole.kubectl("delete", "pv", f"{self.namespace}-lake", "--ignore-not-found", _UNTIL_GONE)

    def _values(self) -> dict[str, Any]:
        """The example's own project, on the trial stores and a volume."""
        spec = yaml.safe_load((_PLATFORM / self.project / "project.yaml").read_text())["spec"]
        del spec["registry"], spec["onlineStore"]
        spec["offlineStore"] = {"type": "file", "dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/data"}}
        spec["server"] |= {"replicas": 1, "resources": _SMALL}
        spec |= {"registryServer": _OFF, "offlineServer": _OFF}
        stores = trial()
        for name in ("postgresql", "redis"):
            stores[name] = {**stores[name], "resources": _SMALL, "persistence": {"enabled": False}}
        return {
            "crds": {"upgrade": False},
            "operator": {"resources": _SMALL},
            "trial": stores,
            "project": {"name": self.project, "spec": spec},
        }


def install(whole: Whole, volumes: Path) -> tuple[dict[str, Model], float]:
    """Both, by name, and the seconds from the first `helm install` until all views of both are Ready."""
    generate(_PLATFORM, volumes / "models")
    models = {name: Model(whole, volumes, name) for name in _MODELS}
    for model in models.values():
        model.delete()  # of a run before, on a cluster that was kept up
    started = time.monotonic()
    for model in models.values():
        model.install()
    for model in models.values():
        model.wait()
    return models, time.monotonic() - started
