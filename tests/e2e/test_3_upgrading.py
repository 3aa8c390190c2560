"""What the platform team does while others ask: a changed value."""

import pytest

from e2e.client import Load
from e2e.whole import until


@pytest.fixture
def load(deployment):
    made = Load(deployment)
    yield made
    made.delete()


def test_no_request_fails_while_the_servers_are_replaced(deployment, load):
    before = set(deployment.names("pods", "--selector=app=feast-server"))
    deployment.helm("upgrade", "--values", deployment.values(workers=2))

    def is_replaced() -> bool:
        pods = deployment.get("pods", "--selector=app=feast-server")["items"]
        names = {pod["metadata"]["name"] for pod in pods}
        return len(pods) == 2 and not names & before

    until(is_replaced, 240)
    deployment.kubectl("rollout", "status", "deploy/feast-server", "--timeout=180s")
    asked = load.asked()
    until(lambda: load.asked() > asked + 100)
    assert load.failures() == []
