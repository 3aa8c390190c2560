"""The reference deployment, as its platform team makes it: a namespace, a lake, the chart, the example's views."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from e2e import previous
from e2e.images import STORES
from e2e.paths import CHART, EXAMPLE
from e2e.whole import Whole
from kube import published

NAMESPACE, RELEASE = "data-platform", "featureplane"
VIEWS = ("commodity-price-features", "economic-features", "weather-features")
_MANIFESTS = [*(f"{name}.yaml" for name in VIEWS), "services.yaml"]
_STORE_USER = 999


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """As kubectl reads several from one file."""
    return "\n---\n".join(map(json.dumps, objects))


class Deployment:
    """What a test asks the deployment, by the commands of its users."""

    def __init__(self, whole: Whole, volumes: Path) -> None:
        self.whole = whole
        self.volumes = volumes
        self.lake = volumes / "lake"

    @property
    def is_there(self) -> bool:
        """On a cluster that was kept up: nothing is installed twice."""
        return RELEASE in self.whole.helm("list", "--namespace", NAMESPACE, "--short").split()

    def install(self) -> float:
        """Seconds from `helm install` to a FeastProject that is Ready; of the release before, which a test upgrades."""
        self.deliver(seed=1)
        self.whole.kubectl("apply", "--server-side", "--filename=-", given=documents(published.crds()))
        self.kubectl("create", "namespace", NAMESPACE)
        self.apply(*self._volumes())
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
        for kind in ("fv", "fsvc"):
            self.kubectl("wait", "--for=condition=Ready", kind, "--all", "--timeout=300s")
        return time.monotonic() - started

    def deliver(self, seed: int) -> None:
        """New data in the lake: another seed, other values."""
        self.lake.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(EXAMPLE / "generate.py"), f"--out={self.lake}", f"--seed={seed}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def newest(self, file: str, key: str, value: str, feature: str) -> float:
        """What the lake has last, of one entity."""
        table = pq.read_table(self.lake / file)
        rows = table.filter(pc.equal(table[key], value)).sort_by("event_timestamp")
        return float(rows[feature][-1].as_py())

    def values(self, **more: Any) -> str:
        """The path of a values file: what a user with these stores and this lake would write, and `more` of it."""
        store = {"image": STORES} if self.has_own_images else {}
        content = {
            "trial": {
                "enabled": True,
                "postgresql": {**store, **({"command": ["postgres.sh"]} if store else {})},
                "redis": store,
            },
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

    @property
    def has_own_images(self) -> bool:
        """A node of ours reaches no registry of images; kind's has the official ones."""
        return "FEATUREPLANE_E2E_ARCHIVES" in os.environ

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.whole.kubectl("--namespace", NAMESPACE, *arguments, given=given)

    def helm(self, command: str, *arguments: str, chart: Path = CHART) -> str:
        """On the one release; the chart is given where the command wants one."""
        wanted = [str(chart)] if command in {"install", "upgrade"} else []
        return self.whole.helm(command, RELEASE, *wanted, "--namespace", NAMESPACE, *arguments)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", given=documents(objects))

    def get(self, *arguments: str) -> Any:
        return self.whole.get("--namespace", NAMESPACE, *arguments)

    def names(self, *arguments: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.get(*arguments)["items"]]

    def images(self) -> set[str]:
        """Of all pods that are there to stay."""
        pods = self.get("pods", "--field-selector=status.phase=Running")["items"]
        return {container["image"] for pod in pods for container in pod["spec"]["containers"]}

    def ask(self, features: list[str], entities: dict[str, list[Any]]) -> httpx.Response:
        """Over a port-forward of its own: as a person would, one after the other."""
        with self.whole.forward(NAMESPACE, "svc/feast-server", 8080) as port:
            body = {"features": features, "entities": entities}
            return httpx.post(f"http://127.0.0.1:{port}/get-online-features", json=body, timeout=30)

    def value(self, feature: str, **entity: str) -> Any:
        """One value as it is served, None when there is none; AssertionError when the request failed."""
        answer = self.ask([feature], {key: [value] for key, value in entity.items()})
        assert answer.status_code == httpx.codes.OK, answer.text
        at = answer.json()["metadata"]["feature_names"].index(feature.rpartition(":")[2])
        return answer.json()["results"][at]["values"][0]

    def tell(self) -> None:
        """Everything that a person would look at, to the test's output."""
        for command in (
            ["get", "pods,jobs,pvc", "--output=wide"],
            ["get", "features"],
            ["describe", "fproj/feast"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "deploy/featureplane-operator", "--tail=60"],
            ["logs", "--selector=app=feast,component=materialization-job", "--tail=20", "--prefix"],
            ["logs", "--selector=app=feast-server", "--tail=20", "--prefix", "--all-containers"],
        ):
            try:
                sys.stdout.write(f"--- kubectl {' '.join(command)}\n{self.kubectl(*command)}\n")
            except AssertionError as error:
                sys.stdout.write(f"{error}\n")

    def _volumes(self) -> list[dict[str, Any]]:
        """The lake, and where no storage class gives them out, the trial stores' volumes."""
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "lake", "namespace": NAMESPACE},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": "lake",
                "resources": {"requests": {"storage": "8Gi"}},
            },
        }
        made = [self._volume("lake", "lake"), claim]
        if not self.whole.get("storageclasses")["items"]:
            for store in ("postgresql", "redis"):
                folder = self.volumes / store
                folder.mkdir()
                shutil.chown(folder, _STORE_USER, _STORE_USER)
                made.append(self._volume(store, f"data-{RELEASE}-trial-{store}-0"))
        return made

    def _volume(self, name: str, claim: str) -> dict[str, Any]:
        spec = {
            "capacity": {"storage": "8Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(self.volumes / name), "type": "Directory"},
            "claimRef": {"namespace": NAMESPACE, "name": claim},
        }
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
