"""What the platform team does while others ask: an upgrade from the release before, and a changed value."""

import pytest

from e2e import images, previous
from e2e.client import Load
from patience import until

NEW = {previous.FIELD: {"enabled": True}}


@pytest.fixture
def load(deployment):
    made = Load(deployment)
    yield made
    made.delete()


def upgrade(deployment, **server):
    """Until only new pods answer, and have answered."""
    before = set(deployment.names("pods", "--selector=app=feast-server"))
    deployment.helm("upgrade", "--values", deployment.values(**server))

    def is_replaced() -> bool:
        pods = deployment.names("pods", "--selector=app=feast-server")
        return len(pods) == 2 and not before.intersection(pods)

    until(is_replaced, 240)
    deployment.kubectl("rollout", "status", "deploy/feast-server", "--timeout=180s")


def served(load):
    """After a hundred more requests, those that failed."""
    asked = load.asked()
    until(lambda: load.asked() > asked + 100)
    return load.failures()


def kept(deployment):
    """What an upgrade leaves as it is: every object; and it makes no first run again (a scheduled one may come)."""
    found = [(item["kind"], item["metadata"]) for item in deployment.get("fproj,fv,fsvc,jobs")["items"]]
    return {(kind, about["name"], about["uid"]) for kind, about in found if kind != "Job" or "initial" in about["name"]}


def test_an_upgrade_from_the_release_before(deployment, load):
    if images.PREVIOUS not in deployment.images():
        pytest.skip("this cluster was kept, and upgraded before")
    before = kept(deployment)
    assert previous.FIELD not in previous.fields(deployment.get("crd", previous.CRD))
    upgrade(deployment, **NEW)
    deployment.kubectl("rollout", "status", "deploy/featureplane-operator", "--timeout=180s")
    until(lambda: images.PREVIOUS not in deployment.images())
    assert previous.FIELD in previous.fields(deployment.get("crd", previous.CRD))
    assert deployment.get("fproj", "feast")["spec"]["server"].items() >= NEW.items()
    assert kept(deployment) == before
    assert served(load) == []


def test_no_request_fails_while_a_value_is_changed(deployment, load):
    upgrade(deployment, **NEW, workers=2)
    assert served(load) == []
