import pytest

from featureplane.manifests import secret_keys
from featureplane.settings import Settings
from unit.manifests.contexts import CLOUDNATIVE_PG, SERVICE_BINDING, a_context, container, environment, facts, templates


def of_server(**changes):
    return dict(templates(a_context(**changes)))["server"]


def prefixed(variables, prefix):
    return {name.removeprefix(prefix): value for name, value in variables.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("keys", "database", "user"),
    [(CLOUDNATIVE_PG, "dbname", "user"), (SERVICE_BINDING, "database", "username")],
    ids=["CloudNativePG", "Service Binding"],
)
def test_the_keys_of_the_registrys_secret(keys, database, user):
    found = environment(of_server(secrets={"feast-registry": facts(keys)}))
    assert prefixed(found, "PG") == {
        "HOST": "feast-registry/host",
        "PORT": "feast-registry/port?",
        "DATABASE": f"feast-registry/{database}?",
        "USER": f"feast-registry/{user}?",
        "PASSWORD": "feast-registry/password?",
    }


def test_the_keys_of_a_secret_that_is_not_there_are_those_of_the_guide():
    found = environment(of_server(secrets={}))
    assert found["PGDATABASE"] == "feast-registry/dbname?"
    assert found["PGUSER"] == "feast-registry/user?"
    assert prefixed(found, "FEATUREPLANE_REDIS_") == {
        "HOST": "feast-online/host",
        "PORT": "feast-online/port?",
        "USERNAME": "feast-online/username?",
        "PASSWORD": "feast-online/password?",
        "DB": "feast-online/db?",
        "MODE": "Standalone",
        "TLS": "false",
    }


def test_a_pod_waits_for_a_host_whatever_the_secret_has():
    found = environment(of_server(secrets={"feast-registry": facts({"uri"}), "feast-online": facts({"uri"})}))
    assert prefixed(found, "PG") == {"HOST": "feast-registry/host"}
    assert found["FEATUREPLANE_REDIS_HOST"] == "feast-online/host"


def test_what_a_secret_lacks_is_left_to_its_default():
    found = environment(of_server(secrets={"feast-online": facts({"host", "database"})}))
    assert prefixed(found, "FEATUREPLANE_REDIS_").keys() == {"HOST", "DB", "MODE", "TLS"}
    assert found["FEATUREPLANE_REDIS_DB"] == "feast-online/database?"


def test_cassandra_gives_no_more_than_who_may_ask_it():
    online = {"cassandra": {"hosts": ["c"], "keyspace": "k", "secretRef": {"name": "c"}}}
    found = environment(of_server(onlineStore=online))
    named = {name: value for name, value in found.items() if "CASSANDRA" in name or "REDIS" in name}
    assert named == {
        "FEATUREPLANE_CASSANDRA_USERNAME": "c/username?",
        "FEATUREPLANE_CASSANDRA_PASSWORD": "c/password?",
    }


def test_how_redis_works_is_the_projects_to_say():
    redis = {"mode": "Sentinel", "sentinelMaster": "main", "tls": True, "secretRef": {"name": "other"}}
    found = environment(of_server(onlineStore={"redis": redis}))
    assert prefixed(found, "FEATUREPLANE_REDIS_").items() >= {
        ("MODE", "Sentinel"),
        ("SENTINEL_MASTER", "main"),
        ("TLS", "true"),
        ("HOST", "other/host"),
    }


@pytest.mark.parametrize(
    ("secret", "variable", "folder"),
    [("feast-registry", "PGSSLROOTCERT", "registry"), ("feast-online", "FEATUREPLANE_REDIS_CA_FILE", "online")],
)
def test_a_certificate_authority_is_a_file(secret, variable, folder):
    pod = of_server(secrets={secret: facts({"host", "ca.crt"})})
    (mount,) = [item for item in container(pod)["volumeMounts"] if item["name"] == f"{folder}-ca"]
    (volume,) = [item for item in pod["spec"]["volumes"] if item["name"] == f"{folder}-ca"]
    assert environment(pod)[variable] == f"{mount['mountPath']}/ca.crt"
    assert volume["secret"] == {"secretName": secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]}


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        ({"host"}, None),
        ({"host", "ca.crt"}, "verify-full"),
        ({"host", "sslmode"}, "feast-registry/sslmode?"),
        ({"host", "ca.crt", "sslmode"}, "feast-registry/sslmode?"),
    ],
)
def test_who_gives_a_certificate_authority_wants_the_server_checked(keys, mode):
    assert environment(of_server(secrets={"feast-registry": facts(keys)})).get("PGSSLMODE") == mode


def test_settings_understand_every_variable():
    redis = {"mode": "Sentinel", "sentinelMaster": "main", "tls": True}
    keys = {"host", "port", "username", "password", "db", "ca.crt", "dbname", "user", "sslmode"}
    both = {"feast-registry": facts(keys), "feast-online": facts(keys)}
    variables = environment(of_server(onlineStore={"redis": redis}, secrets=both))
    values = {name: _value(text) for name, text in variables.items()}
    settings = Settings.from_env(values)
    assert settings.stores == "environment"
    assert {**settings.postgres.environment(), **settings.redis.environment()} == {
        name: value for name, value in values.items() if name.startswith(("PG", "FEATUREPLANE_REDIS_"))
    }


def _value(text):
    return {"port": "1", "db": "3"}.get(text.rpartition("/")[2].rstrip("?"), text) if text.endswith("?") else text


def test_every_pod_has_the_same_stores():
    found = [environment(pod) for _, pod in templates(a_context())]
    stores = [{key: value for key, value in each.items() if key.startswith(("PG", "FEATUREPLANE_R"))} for each in found]
    assert all(each == stores[0] for each in stores)


def test_the_step_that_writes_the_repo_has_the_registry_and_no_more():
    for _, pod in templates(a_context()):
        (init,) = pod["spec"]["initContainers"]
        whole = environment(pod)
        given = {item["name"] for item in init["env"]}
        assert given >= {name for name in whole if name.startswith("PG")} | {"FEATUREPLANE_STORES"}
        assert not any(name.startswith("FEATUREPLANE_REDIS") for name in given)


@pytest.mark.parametrize("problem", [secret_keys.postgres_problem, secret_keys.redis_problem])
def test_a_secret_without_a_host_is_a_problem(problem):
    assert problem("s", {"host"}) is None
    assert problem("s", {"uri"}).startswith("the Secret 's' has no key 'host'; its keys are to be host, port, ")
