"""examples/neighbours/airflow: Airflow runs the DAG against a real Kubernetes API, with the rights of its rbac.yaml.

There is no node: the test ends the pods that the Job controller makes.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.commands import ROOT, clean_environment
from cli.examples import project_of
from cluster.api import Api
from data.environments import python_of
from featureplane.manifests.children import children
from featureplane.manifests.context import Context
from kube.guard import Cluster, test_kubeconfig
from patience import until

# Airflow's command line takes half a minute to come to a task where the machine does something else as well.
PATIENCE = 600.0
pytestmark = pytest.mark.timeout(3600)  # the first makes the environment, and a database for Airflow
FOLDER = ROOT / "examples" / "neighbours" / "airflow"
NAMESPACE, CRON_JOB = "data-platform", "feast-materialize-hourly"
WORKER = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "airflow-worker", "namespace": "airflow"}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with test_kubeconfig() as found:
        yield found


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Api:
    """What the operator makes of examples/commodity, and what a platform team makes for Airflow."""
    api = Api(cluster.kubeconfig)
    for name in (NAMESPACE, "airflow"):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for item in children(Context(project_of("commodity"), "", image="featureplane:1")):
        item["metadata"].pop("ownerReferences")  # there is no FeastProject here
        api.apply(item, NAMESPACE)
    for item in [WORKER, *yaml.safe_load_all((FOLDER / "rbac.yaml").read_text())]:
        api.apply(item)
    return api


class Airflow:
    """Its command line, with a database of its own and the worker's way to the cluster."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self._program = python_of("airflow", FOLDER / "requirements.txt").with_name("airflow")
        self._environment = {
            **clean_environment(), "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "KUBECONFIG": str(kubeconfig), "NO_PROXY": "*",
        }  # fmt: skip
        self._folder = folder
        with self.running("db", "migrate") as migrating:
            assert migrating.wait(PATIENCE) == 0, self.log()

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / "log").open("w") as log:
            process = subprocess.Popen(
                [self._program, *arguments], env=self._environment, cwd=self._folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def log(self) -> str:
        return (self._folder / "log").read_text()


@pytest.fixture(scope="module")
def airflow(api: Api, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    folder = tmp_path_factory.mktemp("airflow")
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    where = "/api/v1/namespaces/airflow/serviceaccounts/airflow-worker/token"
    answer = api.http.post(where, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    config["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return Airflow(folder, kubeconfig)


def end_pods(api: Api, phase: str) -> None:
    """As the kubelet does when their containers have ended."""
    for pod in api.list("v1", "Pod", NAMESPACE):
        if pod["status"]["phase"] == "Pending":
            named = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod["metadata"]["name"]}}
            api.patch(named, {"status": {"phase": phase}}, NAMESPACE, "/status")


def jobs(api: Api) -> dict[str, Any]:
    return {job["metadata"]["name"]: job for job in api.list("batch/v1", "Job", NAMESPACE)}


def run_with(airflow: Airflow, api: Api, phase: str) -> tuple[int, dict[str, Any]]:
    """The exit status of a run of the DAG whose pods end like this, and its Job."""
    before = jobs(api)
    with airflow.running("dags", "test", "refill_features") as process:

        def ended() -> bool:
            end_pods(api, phase)
            return process.poll() is not None

        until(ended, PATIENCE)
        ((_, job),) = [item for item in jobs(api).items() if item[0] not in before]
        return process.returncode, job


def test_a_run_that_succeeds_is_the_cron_jobs_own(airflow: Airflow, api: Api) -> None:
    status, job = run_with(airflow, api, "Succeeded")
    assert status == 0, airflow.log()
    cron_job = api.get({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": CRON_JOB}}, NAMESPACE)
    assert cron_job
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("CronJob", cron_job["metadata"]["uid"], True)
    assert job["metadata"]["labels"]["component"] == "materialization"
    template = cron_job["spec"]["jobTemplate"]["spec"]
    (ours,), (theirs,) = (each["template"]["spec"]["containers"] for each in (job["spec"], template))
    assert ours == theirs
    assert job["spec"]["backoffLimit"] == template["backoffLimit"]


def test_a_run_that_fails_fails_the_dag_and_says_where_to_look(airflow: Airflow, api: Api) -> None:
    status, job = run_with(airflow, api, "Failed")
    assert status != 0, airflow.log()
    name = job["metadata"]["name"]
    assert f"Job {name} failed (BackoffLimitExceeded); kubectl -n {NAMESPACE} logs -l job-name={name}" in airflow.log()
