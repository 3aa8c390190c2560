"""The operator with the rights of deploy/operator.yaml and no other: none is refused, none is there for nothing.

The API server's audit log says what the operator asked for. A right counts as used when a request that needs it was
allowed; `create` when an apply made an object (201), for the API server then asks for both verbs.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api import Api, condition
from cluster.place import Place
from cluster.test_lifecycle import other_view
from factories import a_feature_view, a_project, a_service
from featureplane.controller import watchdog
from featureplane.controller.cluster import FEATURE_VIEW, Resource, connected
from featureplane.controller.events import Events
from featureplane.controller.inventory import Inventory
from featureplane.controller.world import World
from featureplane.errors import ClusterError
from featureplane.manifests.child import KINDS
from featureplane.manifests.operator_deployment import NAME, NAMESPACE
from featureplane.names import API_VERSION, LABEL_PROJECT
from featureplane.settings import OperatorSettings
from kube import guard
from kube.control_plane import CONTEXT, ControlPlane
from patience import until

ROOT = Path(__file__).resolve().parents[2]
OWN, ALL = "operator.yaml", "operator-all-namespaces.yaml"
# Refuses to set owners without the rights that some clusters, OpenShift's among them, demand for it.
STRICT = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}],
}
# Group, resource with its subresource, verb.
Right = tuple[str, str, str]


@dataclass
class Asked:
    """One request, as the audit log has it."""

    verb: str
    group: str
    resource: str
    status: int
    where: str

    def rights(self) -> set[Right]:
        verbs = {self.verb, "create"} if (self.verb, self.status) == ("patch", 201) else {self.verb}
        return {(self.group, self.resource, verb) for verb in verbs}


class Audit:
    def __init__(self, log: Path) -> None:
        self.log = log

    def of(self, namespace: str) -> list[Asked]:
        """What the operator in this namespace asked for."""
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        user = f"system:serviceaccount:{namespace}:{NAME}"
        return [_asked(event) for event in events if event["user"].get("username") == user]


def _asked(event):
    about = event.get("objectRef", {})
    resource = "/".join(part for part in (about.get("resource", ""), about.get("subresource")) if part)
    group, status = about.get("apiGroup", ""), event["responseStatus"]["code"]
    return Asked(event["verb"], group, resource, status, event["requestURI"])


@pytest.fixture(scope="module")
def audit(tmp_path_factory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit") / "audit.log")


@pytest.fixture(scope="module")
def kube(audit: Audit) -> Iterator[guard.Cluster]:
    """A control plane of our own: only its maker can have an API server write an audit log."""
    policy = audit.log.with_name("policy.json")
    policy.write_text(json.dumps(POLICY))
    flags = [f"--audit-policy-file={policy}", f"--audit-log-path={audit.log}", "--audit-log-mode=blocking-strict"]
    with ControlPlane(api_server_flags=[*flags, STRICT]) as control_plane:
        api = Api(control_plane.kubeconfig)
        crds = [api.apply(yaml.safe_load(path.read_text())) for path in sorted((ROOT / "crds").glob("*.yaml"))]
        until(lambda: all(condition(api.get(crd), "Established")[0] == "True" for crd in crds))
        yield guard.Cluster(control_plane.kubeconfig, CONTEXT, control_plane)


@pytest.fixture(scope="module")
def api(kube: guard.Cluster) -> Api:
    return Api(kube.kubeconfig)


def deployed(name):
    return list(yaml.safe_load_all((ROOT / "deploy" / name).read_text()))


def granted() -> set[Right]:
    (role,) = [item for item in deployed(OWN) if item["kind"] == "Role"]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def sign_in(kube: guard.Cluster, place: Place, file: str, namespace: str) -> None:
    """Deploy the file, and let the place's operators be who it makes them: one with its ServiceAccount's token."""
    for item in deployed(file):
        place.api.apply(item, None if item["kind"].startswith("ClusterRole") else namespace)
    place.kubeconfig = kubeconfig_of(kube, place, NAME, namespace)


def kubeconfig_of(kube: guard.Cluster, place: Place, account: str, namespace: str) -> Path:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = place.api.http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", json=request)
    assert answer.is_success, answer.text
    content = json.loads(kube.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": answer.json()["status"]["token"]}
    path = place.folder / f"{account}.kubeconfig"
    path.write_text(json.dumps(content))
    return path


def settings_of(place: Place) -> OperatorSettings:
    return OperatorSettings.from_env({"FEATUREPLANE_NAMESPACE": place.namespace, "KUBECONFIG": str(place.kubeconfig)})


def refused(requests: list[Asked]) -> list[Asked]:
    return [each for each in requests if each.status in {401, 403}]


def jobs(place: Place, purpose: str):
    return place.api.list("batch/v1", "Job", place.namespace, f"featureplane.dev/job={purpose}")


def test_the_operator_has_the_rights_it_uses_and_no_other(kube, audit: Audit, place: Place, monkeypatch):
    sign_in(kube, place, OWN, place.namespace)
    operator = place.operator({"FEATUREPLANE_RESYNC_SECONDS": "5"})
    everything_is_made(place)
    a_comparison_finds_that_every_watch_was_silent(place, monkeypatch)
    everything_is_changed(place)
    everything_goes(place)
    assert operator.stop() == 0
    requests = audit.of(place.namespace)
    assert not refused(requests)
    used = set().union(*(each.rights() for each in requests))
    assert granted() - used == set()


def everything_is_made(place: Place) -> None:
    place.apply(a_project(purgeAfter="1s", server={"autoscaling": {"minReplicas": 2}}), a_feature_view(), a_service())
    # A writer starts: Feast takes seconds to load, where nothing else wants the processor.
    place.wait_for(a_service(), "Ready")
    place.wait_for(a_feature_view(), "Registered")
    until(lambda: jobs(place, "initial"))
    until(lambda: all(_owned(place, api_version, kind) for api_version, kind, _ in KINDS))
    place.apply(other_view("rival", feast_name="Commodity_Prices"))
    place.wait_for(other_view("rival"), "Valid", "False", "NameConflict")
    until(lambda: ("Warning", "NameConflict") in place.events("rival"))


def _owned(place: Place, api_version: str, kind: str):
    return place.api.list(api_version, kind, place.namespace, f"{LABEL_PROJECT}=feast")


def a_comparison_finds_that_every_watch_was_silent(place: Place, monkeypatch) -> None:
    """No test can make a real watch go silent for every kind; one that told nothing at all is the same to the code."""
    monkeypatch.setattr(watchdog, "_PATIENCE_SECONDS", 0.0)

    async def compare() -> Inventory:
        settings = settings_of(place)
        async with connected(settings) as cluster:
            world = World(settings, cluster, Inventory(), Events(cluster))
            await watchdog.compare(world)
            return world.inventory

    inventory = asyncio.run(compare())
    assert {key[0] for key in inventory.children} == {kind for _, kind, _ in KINDS}
    assert {key[0] for key in inventory.items} == {"FeastProject", "FeatureView", "FeatureService"}


def everything_is_changed(place: Place) -> None:
    place.apply(a_feature_view(description="Prices of today"))
    place.api.delete(place.child("v1", "ConfigMap", "feast-client"))
    until(lambda: place.child("v1", "ConfigMap", "feast-client"))
    # Never unwanted today; an earlier Featureplane may have left them.
    left = [("v1", "ConfigMap", "feast-left"), ("v1", "ServiceAccount", "feast-left")]
    owner = {key: place.get(a_project())["metadata"][key] for key in ("name", "uid")}
    owners = [{"apiVersion": API_VERSION, "kind": "FeastProject", **owner}]
    for api_version, kind, name in left:
        metadata = {"name": name, "labels": {LABEL_PROJECT: "feast"}, "ownerReferences": owners}
        place.apply({"apiVersion": api_version, "kind": kind, "metadata": metadata})
    off = {"enabled": False}
    schedules = {"hourly": {"cron": "5 * * * *", "window": "2h"}}
    place.apply(
        a_project(purgeAfter="1s", server={"replicas": 1}, registryServer=off, offlineServer=off, schedules=schedules)
    )
    gone = [
        *left,
        ("apps/v1", "Deployment", "feast-registry"),
        ("v1", "Service", "feast-registry"),
        ("networking.k8s.io/v1", "NetworkPolicy", "feast-registry"),
        ("policy/v1", "PodDisruptionBudget", "feast-server"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "feast-server"),
        ("batch/v1", "CronJob", "feast-materialize-daily"),
    ]
    until(lambda: not any(place.child(*each) for each in gone))


def everything_goes(place: Place) -> None:
    place.apply(other_view("last"))
    place.wait_for(other_view("last"), "Registered")
    for item in (a_service(), a_feature_view(), other_view("rival")):
        place.api.delete(item, place.namespace)
        until(lambda item=item: place.get(item) is None)
    until(lambda: jobs(place, "purge"))
    for item in (other_view("last"), a_project()):
        place.api.delete(item, place.namespace)
        until(lambda item=item: place.get(item) is None)


def test_the_operator_of_all_namespaces_is_refused_nothing(kube, audit: Audit, place: Place):
    place.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    sign_in(kube, place, ALL, NAMESPACE)
    operator = place.operator({"FEATUREPLANE_WATCH": "all", "FEATUREPLANE_RESYNC_SECONDS": "2"})
    place.apply(a_project(), a_feature_view())
    place.wait_for(a_feature_view(), "Registered")
    until(lambda: jobs(place, "initial"))
    looked = operator.metric("featureplane_reconciles_total")
    until(lambda: operator.metric("featureplane_reconciles_total") >= looked + 3)
    for item in (a_feature_view(), a_project()):
        place.api.delete(item, place.namespace)
        until(lambda item=item: place.get(item) is None)
    assert operator.stop() == 0
    requests = audit.of(NAMESPACE)
    assert requests
    assert not refused(requests)


def test_an_object_that_is_gone_is_no_refusal(kube, place: Place):
    """To hold what was deleted just then must not look like making it, which the operator may not."""
    sign_in(kube, place, OWN, place.namespace)

    async def statuses() -> list[int | None]:
        async with connected(settings_of(place)) as cluster:
            held = cluster.hold(FEATURE_VIEW, place.namespace, "gone", "0", held=True)
            told = cluster.apply_status(FEATURE_VIEW, place.namespace, "gone", {})
            return [await _status(held), await _status(told)]

    assert asyncio.run(statuses()) == [409, 404]


def test_an_apply_that_makes_an_object_needs_the_right_to_create(kube, place: Place):
    sign_in(kube, place, OWN, place.namespace)
    role = next(item for item in deployed(OWN) if item["kind"] == "Role")
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != "create"] or ["get"]
    place.api.apply(role, place.namespace)
    resource = Resource("v1", "ConfigMap", "configmaps")
    manifest = {"metadata": {"name": "new", "namespace": place.namespace}, "data": {"key": "value"}}

    async def status() -> int | None:
        async with connected(settings_of(place)) as cluster:
            return await _status(cluster.apply(resource, manifest))

    assert until(lambda: asyncio.run(status()) == 403)
    place.apply({"apiVersion": "v1", "kind": "ConfigMap", **manifest})
    assert asyncio.run(status()) == 200


async def _status(call: Coroutine[Any, Any, object]) -> int | None:
    try:
        await call
    except ClusterError as error:
        return error.status
    return 200
