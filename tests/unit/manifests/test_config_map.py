import pytest
import yaml

from factories import a_project, project_model
from featureplane.manifests.client import client_feature_store
from featureplane.manifests.config_map import project_object
from featureplane.model.feast_project import FeastProject
from featureplane.model.parsing import parse
from featureplane.rendering.repo import feature_store
from unit.manifests.contexts import a_context, one

SOME = {
    "description": "yes: 'no' \u00e9 | \n- x: {",
    "tags": {"on": "yes", "a": "1e3"},
    "schedules": {"h": {"cron": "5 * * * *", "window": "90m", "timeZone": "Europe/Berlin", "parallelism": 3}},
    "server": {"replicas": 1, "resources": {"requests": {"cpu": "1", "memory": 1}}, "autoscaling": {}},
    "offlineStore": {"type": "duckdb", "dataRoot": {"uri": "s3://lake"}, "options": {"a": [1, 2.5, None, True, "x"]}},
    "onlineStore": {"redis": {"mode": "Sentinel", "sentinelMaster": "m", "tls": True, "keyTtl": "1d"}},
    "podTemplate": {"spec": {"tolerations": [{"operator": "Exists"}], "securityContext": None}},
    "allowedNamespaces": ["a", "b"],
    "purgeAfter": "1d12h",
}


@pytest.mark.parametrize("changes", [{}, SOME])
def test_pods_read_the_project_that_was_applied(changes):
    data = one(a_context(**changes), "ConfigMap", "feast-repo")["data"]
    project, problems = parse(FeastProject, yaml.safe_load(data["project.yaml"]))
    assert problems == []
    assert project == project_model(namespace="ml", **changes)


def test_a_project_is_written_as_its_user_would_write_it():
    assert project_object(project_model(namespace="ml")) == a_project(namespace="ml")


def test_what_the_api_server_adds_to_a_project_changes_no_config_map():
    metadata = {"namespace": "ml", "uid": "u", "generation": 7, "annotations": {"featureplane.dev/reconcile-at": "now"}}
    assert project_object(project_model(metadata=metadata)) == a_project(namespace="ml")


def test_the_feature_store_is_the_rendered_one():
    context = a_context()
    text = one(context, "ConfigMap", "feast-repo")["data"]["feature_store.yaml"]
    assert yaml.safe_load(text) == feature_store(context.project)


def test_a_notebook_goes_by_way_of_the_servers():
    text = one(a_context(), "ConfigMap", "feast-client")["data"]["feature_store.yaml"]
    assert yaml.safe_load(text) == {
        "project": "feast",
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {"registry_type": "remote", "path": "feast-registry.ml.svc:6570"},
        "online_store": {"type": "remote", "path": "http://feast-server.ml.svc:8080"},
        "offline_store": {"type": "remote", "host": "feast-offline.ml.svc", "port": 8815},
        "auth": {"type": "no_auth"},
    }


def test_the_addresses_of_a_notebook_are_those_of_services():
    context = a_context(server={"http": {"port": 1234}})
    found = yaml.safe_load(client_feature_store(context.project))

    def ports(name):
        return {item["port"] for item in one(context, "Service", name)["spec"]["ports"]}

    assert int(found["registry"]["path"].rpartition(":")[2]) in ports("feast-registry")
    assert int(found["online_store"]["path"].rpartition(":")[2]) in ports("feast-server")
    assert found["offline_store"]["port"] in ports("feast-offline")


@pytest.mark.parametrize(("switch", "section"), [("registryServer", "registry"), ("offlineServer", "offline_store")])
def test_a_server_that_is_off_is_left_out_with_a_remark(switch, section):
    text = client_feature_store(project_model(**{switch: {"enabled": False}}))
    assert section not in yaml.safe_load(text)
    assert f"the project's {switch} is off" in text


def test_a_client_speaks_tls_where_the_server_does():
    text = client_feature_store(project_model(server={"tls": {"secretRef": {"name": "s"}}}))
    assert yaml.safe_load(text)["online_store"]["path"].startswith("https://feast-server.")
    assert "online_store.cert" in text


def test_a_client_shows_a_token_of_its_own():
    auth = {"type": "oidc", "oidc": {"issuer": "https://id/x", "audience": "feast", "clientId": "feast"}}
    text = client_feature_store(project_model(server={"auth": auth}))
    assert yaml.safe_load(text)["auth"] == {"type": "oidc"}
