"""What Helm's hooks run, on a real API server: CRDs of an earlier release, and an operator that goes for good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.api import Api, condition
from cluster.place import Place
from factories import a_feature_view, a_project, a_service
from featureplane.model import crd
from kube.guard import Cluster
from patience import until

VIEWS = crd.manifest(next(resource for resource in crd.RESOURCES if resource.kind == "FeatureView"))
OPERATOR = "featureplane-operator"


def run(kube: Cluster, *arguments: str, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "PG"))}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("featureplane")), *arguments],
        env={**kept, "KUBECONFIG": str(kube.kubeconfig), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules_of(api: Api) -> list[str]:
    version = api.get(VIEWS)["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return [rule["rule"] for rule in spec.get("x-kubernetes-validations", [])]


@pytest.mark.parametrize("manager", ["helm", "featureplane"])
def test_crds_of_an_earlier_release_become_those_of_this_one(kube: Cluster, api: Api, manager):
    """Whoever made them: what this release has no more is gone, and what somebody else added to the object stays."""
    run(kube, "apply-crds")
    expected = rules_of(api)
    found = api.get(VIEWS)
    earlier = {"rule": "self.ttl != '1d'", "message": "of an earlier release"}
    version = found["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [*spec.get("x-kubernetes-validations", []), earlier]
    spec["properties"]["forgotten"] = {"type": "string"}
    if manager == "featureplane":
        body = {key: found[key] for key in ("apiVersion", "kind", "spec")}
        api.apply({**body, "metadata": {"name": found["metadata"]["name"]}}, manager=manager)
    else:
        answer = api.http.put(f"/apis/{found['apiVersion']}/customresourcedefinitions/{found['metadata']['name']}",
                              json=found, params={"fieldManager": manager})  # fmt: skip
        assert answer.is_success, answer.text
    api.patch(VIEWS, {"metadata": {"annotations": {"example.com/owner": "platform"}}})
    assert rules_of(api) == [*expected, earlier["rule"]]

    assert "featureviews.featureplane.dev is up to date" in run(kube, "apply-crds")

    assert rules_of(api) == expected
    after = api.get(VIEWS)
    spec = after["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "forgotten" not in spec["properties"]
    assert after["metadata"]["annotations"] == {"example.com/owner": "platform"}


def test_crds_that_are_up_to_date_stay_as_they_are(kube: Cluster, api: Api):
    run(kube, "apply-crds")
    before = api.get(VIEWS)
    run(kube, "apply-crds")
    after = api.get(VIEWS)
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
    until(lambda: condition(api.get(VIEWS), "Established")[0] == "True")


def a_deployment(name: str):
    labels = {"app": name}
    container = {"name": "operator", "image": "featureplane:test"}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_an_operator_that_goes_leaves_nothing_stuck_and_the_registry_as_it_was(place: Place, kube: Cluster):
    place.apply(a_project(), a_feature_view(), a_service(), a_deployment(OPERATOR))
    operator = place.operator()
    place.wait_for(a_service(), "Ready")
    until(lambda: place.api.list("v1", "Pod", place.namespace, f"app={OPERATOR}"))
    operator.stop()
    # Put back by a backup, say: no longer the operator's own field.
    place.api.patch(a_service(), {"metadata": {"finalizers": ["example.com/other"]}}, place.namespace)
    both = ["example.com/other", "featureplane.dev/registry"]
    place.api.patch(a_service(), {"metadata": {"finalizers": both}}, place.namespace)

    said = run(kube, "let-go", "--operator", OPERATOR, FEATUREPLANE_NAMESPACE=place.namespace)

    assert said == "3 objects let go\n"
    assert place.get(a_deployment(OPERATOR))["spec"]["replicas"] == 0
    assert place.api.list("v1", "Pod", place.namespace, f"app={OPERATOR}") == []
    assert place.get(a_service())["metadata"]["finalizers"] == ["example.com/other"]
    place.api.patch(a_service(), {"metadata": {"finalizers": None}}, place.namespace)
    for item in (a_project(), a_feature_view(), a_service()):
        place.api.delete(item, place.namespace)
        assert place.get(item) is None
    assert place.views() == {"commodity_prices"}


def test_a_deletion_under_way_is_ended_before_the_operator_is(place: Place, kube: Cluster):
    place.apply(a_project(), a_feature_view())
    operator = place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.api.delete(a_feature_view(), place.namespace)
    run(kube, "let-go", "--operator", "not-there", "--patience", "60", FEATUREPLANE_NAMESPACE=place.namespace)
    assert place.get(a_feature_view()) is None
    assert place.views() == set()
    operator.stop()
