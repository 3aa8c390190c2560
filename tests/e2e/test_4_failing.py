"""What happens by itself: a pod is gone, then another. Reads hold, and what was asked for comes about."""

import httpx
import pytest

from e2e.client import Client, Load
from e2e.deployment import VIEWS
from patience import until

WTI = {"commodity_code": "crude_oil_wti"}
PRICE = "commodity_price_features:current_price"
_ASK = """
import json, urllib.request, urllib.error
entities = {"commodity_code": ["crude_oil_wti"]}
body = json.dumps({"features": ["commodity_price_features"], "entities": entities}).encode()
try:
    with urllib.request.urlopen("http://feast-server:8080/get-online-features", body, timeout=10) as answer:
        print(json.dumps([answer.status, answer.headers["Retry-After"]]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.headers["Retry-After"]]))
"""


def kill(deployment, selector: str, *how: str) -> None:
    """As a node that burns down, unless `how` says otherwise. Another pod may have its name."""

    def pods() -> dict[str, str]:
        found = deployment.get("pods", f"--selector={selector}")["items"]
        return {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in found}

    uid, name = next(iter(pods().items()))
    deployment.kubectl("delete", "pod", name, *(how or ("--grace-period=0", "--force")))
    until(lambda: uid not in pods())


def has_description(deployment, text: str) -> None:
    """A change comes about: in the registry, as Feast's own tool reads it."""
    change = f'{{"spec": {{"description": "{text}"}}}}'
    deployment.kubectl("patch", "fv", VIEWS[2], "--type=merge", f"--patch={change}")
    name = VIEWS[2].replace("-", "_")
    command = ("exec", "deploy/feast-server", "--", "feast", "feature-views", "describe", name)
    until(lambda: text in deployment.kubectl(*command))


@pytest.fixture(scope="module")
def client(deployment):
    made = Client(deployment)
    yield made
    made.delete()


def test_a_server_pod_is_killed(deployment):
    load = Load(deployment)
    try:
        kill(deployment, "app=feast-server")
        deployment.kubectl("rollout", "status", "deploy/feast-server", "--timeout=180s")
        asked = load.asked()
        until(lambda: load.asked() > asked + 100)
        # What was under way in the pod that burned is lost, and what still went to its address until that was known.
        assert len(load.failures()) <= 5, load.failures()
    finally:
        load.delete()


def test_the_operator_is_killed(deployment):
    kill(deployment, "app.kubernetes.io/component=operator")
    assert deployment.value(PRICE, **WTI) is not None
    has_description(deployment, "after the operator was killed")


def test_postgresql_is_killed(deployment, client):
    # Without force: else another one starts on the volume while this one still takes writes, which are lost then.
    kill(deployment, "app.kubernetes.io/component=trial-postgresql", "--grace-period=1")
    assert client.run(_ASK)[0] == httpx.codes.OK
    has_description(deployment, "after PostgreSQL was killed")
    deployment.kubectl("wait", "--for=condition=Ready", "fproj/feast", "--timeout=180s")


def test_without_redis_clients_are_told_when_to_come_back_and_an_alert_fires(deployment, client, prometheus):
    redis = "statefulset/featureplane-trial-redis"
    deployment.kubectl("scale", redis, "--replicas=0")
    until(lambda: client.run(_ASK)[0] == httpx.codes.SERVICE_UNAVAILABLE)
    status, retry_after = client.run(_ASK)
    assert (status, int(retry_after) > 0) == (httpx.codes.SERVICE_UNAVAILABLE, True)
    until(lambda: "RedisDown" in prometheus.firing(), 300)
    deployment.kubectl("scale", redis, "--replicas=1")
    until(lambda: client.run(_ASK)[0] == httpx.codes.OK)
    until(lambda: "RedisDown" not in prometheus.firing(), 300)
    assert deployment.value(PRICE, **WTI) is not None
