"""What a project's status says of its server and of its stores."""

from datetime import UTC, datetime

import pytest

from factories import a_project
from featureplane.controller.inventory import Inventory
from featureplane.controller.project_status import ProjectFacts, project_status
from unit.controller.test_inventory import in_cluster

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
STUCK = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]


@pytest.mark.parametrize(
    ("deployment", "ready"),
    [
        (None, ("False", "Missing")),
        ({"replicas": 2}, ("False", "NotReady")),
        ({"replicas": 2, "readyReplicas": 1}, ("True", "Ready")),
        ({"replicas": 2, "readyReplicas": 2, "conditions": STUCK}, ("False", "RolloutStuck")),
        ({"replicas": 2, "conditions": STUCK}, ("False", "NotReady")),
    ],
)
def test_the_server_is_what_its_deployment_says(deployment, ready):
    inventory = Inventory()
    inventory.observe("ADDED", in_cluster(a_project()))
    (item,) = inventory.items.values()
    status, _ = project_status(item, ProjectFacts(server=deployment), NOW)
    found = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert found["Ready"] == ready


def test_an_online_store_that_is_away_is_said_after_the_registry():
    inventory = Inventory()
    inventory.observe("ADDED", in_cluster(a_project()))
    (item,) = inventory.items.values()
    away = ("OnlineStoreUnavailable", "Redis at redis:6379 cannot be used")
    server = {"replicas": 2, "readyReplicas": 2}
    status, conditions = project_status(item, ProjectFacts(server=server, online_trouble=away), NOW)
    assert status["onlineStore"] == {"state": away[0], "message": away[1]}
    assert (conditions[0].status, conditions[0].reason, conditions[0].message) == ("False", *away)
    facts = ProjectFacts(registry_trouble=("RegistryUnavailable", "why"), online_trouble=away)
    assert project_status(item, facts, NOW)[1][0].reason == "RegistryUnavailable"
    assert project_status(item, ProjectFacts(), NOW)[0]["onlineStore"] == {"state": "Ready"}
