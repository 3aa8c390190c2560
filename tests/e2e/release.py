"""A release of the chart in a namespace of its own, and its FeastProject, as their users ask them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from e2e.images import STORES
from e2e.paths import CHART
from e2e.whole import Whole

RELEASE = "featureplane"


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """As kubectl reads several from one file."""
    return "\n---\n".join(map(json.dumps, objects))


def generate(example: Path, out: Path, *arguments: str) -> None:
    """An example's data, written to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(example / "generate.py"), f"--out={out}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def trial() -> dict[str, Any]:
    """Values of the chart's trial stores. A node of ours reaches no registry of images, kind's does."""
    store = {"image": STORES} if "FEATUREPLANE_E2E_ARCHIVES" in os.environ else {}
    postgresql = {**store, **({"command": ["postgres.sh"]} if store else {})}
    return {"enabled": True, "postgresql": postgresql, "redis": store}


class Release:
    """`lake` is a folder that the node sees, and `project` the name of the FeastProject in `namespace`."""

    def __init__(self, whole: Whole, namespace: str, project: str, lake: Path) -> None:
        self.whole, self.namespace, self.project, self.lake = whole, namespace, project, lake

    @property
    def is_there(self) -> bool:
        """On a cluster that was kept up: nothing is installed twice."""
        return RELEASE in self.whole.helm("list", "--namespace", self.namespace, "--short").split()

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.whole.kubectl("--namespace", self.namespace, *arguments, given=given)

    def helm(self, command: str, *arguments: str, chart: Path = CHART) -> str:
        """On the one release; the chart is given where the command wants one."""
        wanted = [str(chart)] if command in {"install", "upgrade"} else []
        return self.whole.helm(command, RELEASE, *wanted, "--namespace", self.namespace, *arguments)

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", given=documents(objects))

    def wait_for_views(self) -> None:
        """Until all of them are Ready, registered, copied and fresh, and the services of them."""
        for kind in ("fv", "fsvc"):
            self.kubectl("wait", "--for=condition=Ready", kind, "--all", "--timeout=300s")

    def get(self, *arguments: str) -> Any:
        return self.whole.get("--namespace", self.namespace, *arguments)

    def names(self, *arguments: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.get(*arguments)["items"]]

    def images(self) -> set[str]:
        """Of all pods that are there to stay."""
        pods = self.get("pods", "--field-selector=status.phase=Running")["items"]
        return {container["image"] for pod in pods for container in pod["spec"]["containers"]}

    def ask(self, features: list[str], entities: dict[str, list[Any]]) -> httpx.Response:
        """Over a port-forward of its own: as a person would, one after the other."""
        with self.whole.forward(self.namespace, f"svc/{self.project}-server", 8080) as port:
            body = {"features": features, "entities": entities}
            return httpx.post(f"http://127.0.0.1:{port}/get-online-features", json=body, timeout=30)

    def value(self, feature: str, **entity: Any) -> Any:
        """One value as it is served, None when there is none; AssertionError when the request failed."""
        answer = self.ask([feature], {key: [value] for key, value in entity.items()})
        assert answer.status_code == httpx.codes.OK, answer.text
        at = answer.json()["metadata"]["feature_names"].index(feature.rpartition(":")[2])
        return answer.json()["results"][at]["values"][0]

    def newest(self, file: str, key: str, value: Any, feature: str, at: datetime | None = None) -> Any:
        """What the lake has last, of one entity; or had at a moment."""
        table = pq.read_table(self.lake / file)
        known = pc.equal(table[key], value)
        if at:
            known = pc.and_(
                known, pc.less_equal(table["event_timestamp"], pa.scalar(at, table["event_timestamp"].type))
            )
        rows = table.filter(known).sort_by("event_timestamp")
        return rows[feature][-1].as_py()

    def remaining(self, stays: set[str]) -> bool:
        """Whether just that is in the namespace, beside what every namespace has; AssertionError else."""
        kinds = self.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
        wanted = ",".join(kind for kind in kinds if not kind.startswith("events"))
        found = set(self.kubectl("get", wanted, "--output=name").split())
        found -= {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        assert found == stays, f"left behind: {sorted(found - stays)}; gone: {sorted(stays - found)}"
        return True

    def tell(self) -> None:
        """Everything that a person would look at, to the test's output."""
        for command in (
            ["get", "pods,jobs,pvc", "--output=wide"],
            ["get", "features"],
            ["describe", f"fproj/{self.project}"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "deploy/featureplane-operator", "--tail=60"],
            ["logs", "--selector=app=feast,component=materialization-job", "--tail=20", "--prefix"],
            ["logs", "--selector=app=feast-server", "--tail=20", "--prefix", "--all-containers"],
        ):
            try:
                sys.stdout.write(f"--- kubectl {' '.join(command)}\n{self.kubectl(*command)}\n")
            except AssertionError as error:
                sys.stdout.write(f"{error}\n")

    def lake_volume(self) -> list[dict[str, Any]]:
        """The lake, as a volume and the claim to it that pods mount."""
        name = f"{self.namespace}-lake"
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "lake", "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": {"storage": "8Gi"}},
            },
        }
        return [self.volume(name, self.lake, "lake"), claim]

    def volume(self, name: str, folder: Path, claim: str) -> dict[str, Any]:
        spec = {
            "capacity": {"storage": "8Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": self.namespace, "name": claim},
        }
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
