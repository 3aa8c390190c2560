"""The chart on a real API server: its manifests are taken, its hooks may do what they do, what stays is what it says.

There is no node, so hooks are run by the tests, with the tokens of their own ServiceAccounts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chart.helm import CHART, CI_VALUES, NAMESPACE, RELEASE, helm, is_hook, one, render
from cluster.api import Api, condition, path
from cluster.place import Place
from factories import a_feature_view, a_project, a_service
from kube import published
from kube.guard import Cluster
from patience import until

every_ci = pytest.mark.parametrize("values", CI_VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))


@pytest.fixture(scope="module")
def namespace(kube: Cluster, api: Api) -> str:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    until(lambda: api.get(account, NAMESPACE))
    others = [api.apply(crd) for crd in published.crds()]
    until(lambda: all(condition(api.get(crd), "Established")[0] == "True" for crd in others))
    return NAMESPACE


@every_ci
def test_every_manifest_is_taken_without_a_warning(api: Api, namespace, values):
    manifests = render(values)
    assert manifests
    for item in manifests:
        answer = api.http.patch(
            path(item), json=item,
            params={"fieldManager": "helm", "dryRun": "All", "fieldValidation": "Strict", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
        )  # fmt: skip
        what = f"{item['kind']} {item['metadata']['name']}"
        assert answer.is_success, f"{what}: {answer.text}"
        assert "warning" not in answer.headers, f"{what}: {answer.headers['warning']}"


def run_hook(kube: Cluster, place: Place, items, when: str) -> str:
    """Make what the hook's Job needs, and run the Job's command as its ServiceAccount."""
    own = [item for item in items if when in item["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    job = own.pop(next(index for index, item in enumerate(own) if item["kind"] == "Job"))
    for item in own:
        place.api.apply(item)
    spec = job["spec"]["template"]["spec"]
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    where = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/{spec['serviceAccountName']}/token"
    answer = place.api.http.post(where, json=request)
    assert answer.is_success, answer.text
    content = json.loads(kube.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    kubeconfig = place.folder / "hook.kubeconfig"
    kubeconfig.write_text(json.dumps(content))
    (container,) = spec["containers"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "PG", "FEATUREPLANE_"))}
    own_environment = {each["name"]: each["value"] for each in container.get("env", [])}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("featureplane")), *container["args"]],
        env={**kept, **own_environment, "KUBECONFIG": str(kubeconfig)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("watch", ["own", "all"])
def test_the_crds_job_may_do_what_it_does(kube: Cluster, place: Place, watch):
    items = render(None, None, "--namespace", place.namespace, "--set", f"operator.watch={watch}")
    assert run_hook(kube, place, items, "pre-upgrade").count("is up to date") == 3


def test_the_job_that_lets_go_may_do_so_in_all_namespaces(kube: Cluster, place: Place):
    items = render(None, None, "--namespace", place.namespace, "--set", "operator.watch=all")
    place.apply(a_project(), a_feature_view())
    for item in (a_project(), a_feature_view()):
        place.api.patch(item, {"metadata": {"finalizers": ["featureplane.dev/registry"]}}, place.namespace)
    place.api.apply(one(items, "Deployment"))
    run_hook(kube, place, items, "pre-delete")
    for item in (a_project(), a_feature_view()):
        assert "finalizers" not in place.get(item)["metadata"]


def passwords(place: Place) -> dict[str, str]:
    secrets = place.api.list("v1", "Secret", place.namespace, f"app.kubernetes.io/instance={RELEASE}")
    return {item["metadata"]["name"]: item["data"]["password"] for item in secrets}


def release(kube: Cluster, place: Place, verb: str, *arguments: str) -> None:
    """Without hooks: there is no node that a Job could run on."""
    environment = {"KUBECONFIG": str(kube.kubeconfig)}
    helm(verb, RELEASE, *arguments, "--namespace", place.namespace, "--no-hooks", env=environment)


# The operator is this test's process: its FeastProject leads to the stores of the tests.
STORES = ("--set", "registry.existingSecret=feast-registry", "--set", "onlineStore.existingSecret=feast-online")


def test_what_stays_after_an_uninstall_is_what_the_notes_say(kube: Cluster, place: Place):
    release(kube, place, "install", str(CHART), *STORES, "--set", "project.spec.project=feast")
    operator = place.operator()
    place.apply(a_feature_view(), a_service())
    place.wait_for(a_service(), "Ready")
    until(lambda: place.child("apps/v1", "Deployment", "feast-server"))
    items = render(None, None, "--namespace", place.namespace)
    operator.stop()
    assert run_hook(kube, place, items, "pre-delete") == "3 objects let go\n"
    for item in items:
        if is_hook(item) and place.api.get(item):
            place.api.delete(item)

    release(kube, place, "uninstall")

    until(lambda: everything(place) == {("FeatureView", "commodity-prices"), ("FeatureService", "price-model")})
    assert place.views() == {"commodity_prices"}
    for item in (a_feature_view(), a_service()):
        assert "finalizers" not in place.get(item)["metadata"]

    # And a release that comes after it takes up where this one ended.
    release(kube, place, "install", str(CHART), *STORES, "--set", "project.spec.project=feast")
    operator = place.operator()
    until(lambda: "finalizers" in place.get(a_service())["metadata"])
    place.wait_for(a_service(), "Ready")
    assert operator.metric("featureplane_registry_writes_total") == 0
    assert place.views() == {"commodity_prices"}


# What there is in a namespace, but for what Kubernetes itself puts there and the Secrets that the place came with.
KINDS = (
    *(("featureplane.dev/v1alpha1", kind) for kind in ("FeastProject", "FeatureView", "FeatureService")),
    *(("v1", kind) for kind in ("Secret", "Service", "ServiceAccount", "ConfigMap", "PersistentVolumeClaim")),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet")),
    *(("batch/v1", kind) for kind in ("Job", "CronJob")),
    *(("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding")),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
)
GIVEN = {("Secret", "feast-registry"), ("Secret", "feast-online"), ("ServiceAccount", "default"),
         ("ConfigMap", "kube-root-ca.crt")}  # fmt: skip


def everything(place: Place) -> set[tuple[str, str]]:
    found = {
        (kind, item["metadata"]["name"])
        for api_version, kind in KINDS
        for item in place.api.list(api_version, kind, place.namespace)
    }
    return found - GIVEN


def test_passwords_are_made_once(kube: Cluster, place: Place):
    release(kube, place, "install", str(CHART), "--set", "trial.enabled=true")
    first = passwords(place)
    assert len(set(first.values())) == 2
    release(kube, place, "upgrade", str(CHART), "--set", "trial.enabled=true", "--set", "operator.logLevel=debug")
    assert passwords(place) == first
    claims = {("PersistentVolumeClaim", f"data-{name}-0") for name in first}
    until(lambda: claims <= everything(place))
    # The volumes keep the passwords that their stores were made with, so the Secrets stay as well.
    release(kube, place, "uninstall")
    until(lambda: everything(place) == claims | {("Secret", name) for name in first})
    assert passwords(place) == first
    release(kube, place, "install", str(CHART), "--set", "trial.enabled=true")
    assert passwords(place) == first
