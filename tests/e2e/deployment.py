"""The reference deployment, as its platform team makes it: a namespace, a lake, the chart, the example's views."""

import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from e2e import previous
from e2e.paths import EXAMPLE
from e2e.release import RELEASE, Release, documents, generate, trial
from e2e.whole import Whole
from kube import published

NAMESPACE = "data-platform"
VIEWS = ("commodity-price-features", "economic-features", "weather-features")
_MANIFESTS = [*(f"{name}.yaml" for name in VIEWS), "services.yaml"]
_STORE_USER = 999


class Deployment(Release):
    """What a test asks the deployment, by the commands of its users."""

    def __init__(self, whole: Whole, volumes: Path) -> None:
        super().__init__(whole, NAMESPACE, "feast", volumes / "lake")
        self.volumes = volumes

    def install(self) -> float:
        """Seconds from `helm install` to a FeastProject that is Ready; of the release before, which a test upgrades."""
        self.deliver(seed=1)
        self.whole.kubectl("apply", "--server-side", "--filename=-", given=documents(published.crds()))
        self.kubectl("create", "namespace", NAMESPACE)
        self.apply(*self.lake_volume(), *self._store_volumes())
        chart = previous.chart(self.volumes / "chart")
        started = time.monotonic()
        self.helm("install", "--values", self.values(), chart=chart)
        self.kubectl("wait", "--for=condition=Ready", "fproj/feast", "--timeout=300s")
        seconds = time.monotonic() - started
        # Its image has the CRDs of this one.
        self.whole.kubectl("replace", f"--filename={chart / 'crds'}")
        return seconds

    def apply_example(self) -> float:
        """Seconds from the views' `kubectl apply` until all of them are Ready: registered, copied, fresh."""
        started = time.monotonic()
        self.kubectl("apply", *(f"--filename={EXAMPLE / name}" for name in _MANIFESTS))
        self.wait_for_views()
        return time.monotonic() - started

    def deliver(self, seed: int) -> None:
        """New data in the lake: another seed, other values."""
        generate(EXAMPLE, self.lake, f"--seed={seed}")

    def values(self, **more: Any) -> str:
        """The path of a values file: what a user with these stores and this lake would write, and `more` of it."""
        content = {
            "trial": trial(),
            "project": {
                "spec": {
                    "project": "254carbon",
                    "offlineStore": {
                        "type": "file",
                        "dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/data"},
                    },
                    "server": {
                        "replicas": 2,
                        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
                        **more,
                    },
                },
            },
            "monitoring": {
                "serviceMonitor": {"enabled": True, "interval": "10s"},
                "prometheusRule": {"enabled": True},
                "dashboard": {"enabled": True},
            },
        }
        path = self.volumes / "values.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    def _store_volumes(self) -> list[dict[str, Any]]:
        """Those of the trial stores, where no storage class gives them out."""
        made: list[dict[str, Any]] = []
        if not self.whole.get("storageclasses")["items"]:
            for store in ("postgresql", "redis"):
                folder = self.volumes / store
                folder.mkdir()
                shutil.chown(folder, _STORE_USER, _STORE_USER)
                made.append(self.volume(store, folder, f"data-{RELEASE}-trial-{store}-0"))
        return made
