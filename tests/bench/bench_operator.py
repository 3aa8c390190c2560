"""`make bench-operator`: the operator on a real API server, etcd and PostgreSQL, everything on one machine.

1,000, 2,000 and 5,000 FeatureViews of 8 features: all new, one changed, a restart, memory, and writes at rest.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
import yaml
from harness import Result, a_view, report, seconds

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cluster.api import Api, condition  # noqa: E402
from cluster.operator_process import OperatorProcess  # noqa: E402
from cluster.place import Place, a_place  # noqa: E402
from featureplane.local.stores import embedded_stores  # noqa: E402
from featureplane.settings import Stores  # noqa: E402
from kube.guard import Cluster, test_kubeconfig  # noqa: E402
from patience import until  # noqa: E402

PROJECT = {
    "apiVersion": "featureplane.dev/v1alpha1",
    "kind": "FeastProject",
    "metadata": {"name": "feast"},
    "spec": {"project": "feast"},
}
CLIENTS = 8
CHANGES = 50
FEW_CHANGES = 15
REST_SECONDS = 120
# As in a cluster that is left alone: no look at everything falls into what is measured, but for the rest.
SETTINGS = {"FEATUREPLANE_RESYNC_SECONDS": "600", "FEATUREPLANE_SECRETS_POLL_SECONDS": "15"}


def is_registered(view: dict[str, Any]) -> bool:
    current = view.get("status", {}).get("observedGeneration") == view["metadata"]["generation"]
    return current and condition(view, "Registered")[0] == "True"


def registered(place: Place) -> int:
    views = place.api.list("featureplane.dev/v1alpha1", "FeatureView", place.namespace)
    return sum(map(is_registered, views))


def create(place: Place, views: int) -> float:
    """Seconds from the first create to the last Registered=True."""
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: place.api.create(a_view(number), place.namespace), range(views)))
    while registered(place) < views:
        # To list thousands of objects is work for the API server: it must not be most of what it does.
        time.sleep(views / 2000)
    return time.perf_counter() - start


def change(place: Place, number: int, run: int) -> float:
    """Seconds from the write of one view to its Registered=True."""
    start = time.perf_counter()
    place.api.patch(a_view(number), {"spec": {"description": f"run {run}"}}, place.namespace)
    until(lambda: is_registered(place.get(a_view(number)) or {}), 60)
    return time.perf_counter() - start


def memory(operator: OperatorProcess) -> float:
    """MB of the operator and its children: proportional shares, so that shared pages count once."""
    return sum(process.memory_full_info().pss for process in operator.family()) / 1e6


def writes(place: Place) -> float:
    """Writes that the API server has answered, of everybody, but for what a cluster's own parts do to live."""
    total = 0.0
    for line in place.api.http.get("/metrics").text.splitlines():
        if line.startswith("apiserver_request_total{"):
            labels, _, value = line.rpartition(" ")
            verb = any(f'verb="{each}"' in labels for each in ("APPLY", "PATCH", "POST", "PUT", "DELETE"))
            own = any(f'resource="{each}"' in labels for each in ("leases", "subjectaccessreviews", "tokenreviews"))
            total += float(value) if verb and not own else 0.0
    return total


@contextmanager
def scene(cluster: Cluster, stores: Stores) -> Iterator[tuple[Place, OperatorProcess]]:
    """A new namespace and registry with an operator at rest and an empty project."""
    with (
        tempfile.TemporaryDirectory() as folder,
        a_place(cluster, Api(cluster.kubeconfig), stores, Path(folder)) as place,
    ):
        place.apply(PROJECT)
        operator = place.operator(SETTINGS)
        until(lambda: (place.get(PROJECT) or {}).get("status", {}).get("registry", {}).get("state") == "Ready", 60)
        yield place, operator


def measure(cluster: Cluster, stores: Stores, views: int) -> list[Result]:
    bound = {"create": "at most 45", "change": "at most 2", "rest": "at most 1"} if views == 1000 else {}
    last = {"restart": "at most 20", "rss": "at most 450"} if views == 5000 else {}
    with scene(cluster, stores) as (place, operator):
        results = [Result(f"create_{views}_s", create(place, views), "s", bound.get("create", ""))]
        times = [change(place, number * 7 % views, run=1) for number in range(CHANGES if bound else FEW_CHANGES)]
        results += [
            Result("change_p95_s" if bound else f"change_p95_of_{views}_s", quantiles(times, n=20)[-1], "s",
                   bound.get("change", "")),
            Result(f"change_median_of_{views}_s", median(times), "s"),
            Result(f"rss_{views}_mb", memory(operator), "MB", last.get("rss", "")),
        ]  # fmt: skip
        if bound:
            time.sleep(10)  # Events are told of in the background
            before = writes(place)
            time.sleep(REST_SECONDS)
            rate = (writes(place) - before) * 60 / REST_SECONDS
            results.append(Result("idle_writes_per_min", rate, "1/min", bound["rest"]))
        operator.stop()
        results.append(Result(f"restart_{views}_s", seconds(operator.start), "s", last.get("restart", "")))
        assert registered(place) == views
        results.append(Result(f"rss_after_restart_{views}_mb", memory(operator), "MB"))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, nargs="*", default=[1000, 2000, 5000])
    sizes = parser.parse_args().views
    results: list[Result] = []
    with embedded_stores(None, search_path=os.environ["PATH"]) as stores:
        for views in sizes:
            with test_kubeconfig() as cluster:  # a new one for each: the former one's garbage is no part of this
                api = Api(cluster.kubeconfig)
                for path in sorted((ROOT / "crds").glob("*.yaml")):
                    api.apply(yaml.safe_load(path.read_text()))
                until(lambda api=api: _all_established(api))
                results += measure(cluster, stores, views)
                report("operator", results)
    if psutil.cpu_count() != 2:
        print(f"(the targets are for 2 cores; this machine has {psutil.cpu_count()})")


def _all_established(api: Api) -> bool:
    crds = api.list("apiextensions.k8s.io/v1", "CustomResourceDefinition", None)
    return all(condition(crd, "Established")[0] == "True" for crd in crds)


if __name__ == "__main__":
    main()
