"""Where a project's stores are, by its Secrets; what is wrong with one is said without its values."""

from pathlib import Path

import pytest

from factories import a_project
from featureplane.controller.addresses import SecretTrouble, postgres_of, redis_of, stores_of
from featureplane.controller.cluster import Secret
from featureplane.model.feast_project import FeastProject
from unit.controller.test_inventory import in_cluster

PROJECT = FeastProject.model_validate(in_cluster(a_project()))
REGISTRY = Secret("1", {"host": "pg", "port": "5432", "dbname": "feast", "user": "u", "password": "p"})


@pytest.mark.parametrize("port", ["6379\n", "redis://:hunter2@h", "hunter2", "99999", ""])
def test_a_port_of_redis_that_is_none_is_named_and_not_shown(port):
    secrets = {"feast-registry": REGISTRY, "feast-online": Secret("1", {"host": "redis", "port": port or "-"})}
    with pytest.raises(SecretTrouble) as caught:
        stores_of(PROJECT, secrets, "data")
    assert caught.value.reason == "SecretIncomplete"
    assert "'feast-online'" in str(caught.value)
    assert "'port'" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_where_definitions_lie_does_not_depend_on_redis():
    secrets = {"feast-registry": REGISTRY, "feast-online": Secret("1", {"port": "hunter2"})}
    assert postgres_of(PROJECT, secrets, "data").keywords["host"] == "pg"


@pytest.mark.parametrize(
    ("secret", "reason", "said"),
    [
        (None, "SecretNotFound", "there is no Secret 'feast-online' in 'data'; create it with the keys host, port"),
        (Secret("1", {"password": "hunter2"}), "SecretIncomplete", "the Secret 'feast-online' has no key 'host'"),
    ],
)
def test_what_the_secret_of_redis_lacks_is_said(secret, reason, said):
    with pytest.raises(SecretTrouble, match=said) as caught:
        redis_of(PROJECT, {"feast-registry": REGISTRY, "feast-online": secret}, "data")
    assert caught.value.reason == reason
    assert "hunter2" not in str(caught.value)


def test_redis_is_asked_as_the_operator_sees_it():
    secrets = {"feast-online": Secret("1", {"host": "redis", "port": "6380", "ca.crt": "a certificate"})}
    assert redis_of(PROJECT, secrets, "data").host == "redis"
    address = redis_of(PROJECT, secrets, "of-the-operator")
    assert (address.host, address.port) == ("redis.data", 6380)
    assert Path(address.ca_file).read_text() == "a certificate"
