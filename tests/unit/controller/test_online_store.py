"""A project on Cassandra is asked for the Secret of its Cassandra, and for no Redis."""

import asyncio

import pytest

from factories import a_project
from featureplane.controller.cluster import Secret
from featureplane.controller.online_store import trouble_with
from featureplane.model.feast_project import FeastProject
from unit.controller.test_inventory import in_cluster

ONLINE = {"cassandra": {"hosts": ["cassandra"], "keyspace": "fraud", "secretRef": {"name": "fraud-cassandra"}}}
PROJECT = FeastProject.model_validate(in_cluster(a_project(onlineStore=ONLINE)))


def trouble(secret: Secret | None) -> tuple[str, str] | None:
    return asyncio.run(trouble_with(PROJECT, {"fraud-cassandra": secret}, "data"))


@pytest.mark.parametrize("values", [{"username": "fraud", "password": "hunter2"}, {"user": "u", "password": "p"}, {}])
def test_a_cassandra_with_its_secret_can_be_used(values):
    assert trouble(Secret("1", values)) is None


@pytest.mark.parametrize(
    ("secret", "reason", "said"),
    [
        (None, "SecretNotFound", "no Secret 'fraud-cassandra' in 'data'; create it with the keys username, password"),
        (Secret("1", {"password": "hunter2"}), "SecretIncomplete", "'fraud-cassandra' has no key 'username'"),
        (Secret("1", {"username": "fraud"}), "SecretIncomplete", "'fraud-cassandra' has no key 'password'"),
    ],
)
def test_what_the_secret_of_a_cassandra_lacks_is_said(secret, reason, said):
    found = trouble(secret)
    assert found is not None
    assert found[0] == reason
    assert said in found[1]
    assert "hunter2" not in found[1]
