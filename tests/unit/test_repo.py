import ast
import os
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature_view, a_project, declared, problems_in, project_model
from featureplane import names
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import feature_repo, feature_store, render, spark_conf


def test_a_repo_is_data_a_constant_loader_and_a_configuration():
    (project,) = declared(a_feature_view(description="import os"))
    files = render(project.project, define(project))
    assert list(files) == [names.DEFINITIONS_FILE, names.LOADER_FILE, names.FEATURE_STORE_FILE]
    assert files[names.LOADER_FILE] == (feature_repo() / names.LOADER_FILE).read_text()
    ast.parse(files[names.LOADER_FILE])


def test_cassandra_is_named_without_who_may_ask_it():
    store = {"hosts": ["c-0", "c-1"], "port": 9043, "keyspace": "fraud", "datacenter": "dc1", "tls": True}
    found = feature_store(project_model(onlineStore={"cassandra": store}))
    kind = "featureplane.plugins.cassandra.EnvironmentCassandraOnlineStore"
    assert found["online_store"] == {"type": kind, **store, "secret": "feast-online"}
    assert found["materialization"] == {"online_write_batch_size": 10_000}


def test_two_repos_differ_in_data_alone():
    (one,) = declared(a_feature_view())
    (two,) = declared(a_feature_view("other"))
    first, second = (render(item.project, define(item)) for item in (one, two))
    assert [name for name in first if first[name] != second[name]] == [names.DEFINITIONS_FILE]


def test_the_configuration_of_a_project_with_its_defaults():
    assert feature_store(project_model(project="254carbon")) == {
        "project": "254carbon",
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {
            "registry_type": "sql",
            "path": "postgresql+psycopg://",
            "cache_ttl_seconds": 60,
            "sqlalchemy_config_kwargs": {"echo": False, "pool_pre_ping": True},
            "serve_features_while_materializing": True,
        },
        "online_store": {
            "type": "featureplane.plugins.redis.EnvironmentRedisOnlineStore",
            "full_scan_for_deletion": False,
        },
        "offline_store": {"type": "featureplane.plugins.files.FilesOfflineStore"},
        "batch_engine": {"type": "featureplane.plugins.columnar.ColumnarEngine"},
        "auth": {"type": "no_auth"},
    }


def test_the_configuration_of_a_project_that_chose_everything():
    found = feature_store(
        project_model(
            onlineStore={"redis": {"keyTtl": "30d"}},
            offlineStore={"type": "duckdb", "options": {"staging_location": "s3://x"}},
            batchEngine={"type": "ray.engine", "options": {"max_workers": 8}},
            server={
                "auth": {
                    "type": "oidc",
                    "oidc": {"issuer": "https://id/x", "audience": "a", "clientId": "x", "caFile": "/idp/ca.crt"},
                    "options": {"jwks_cache_lifespan_seconds": 60},
                }
            },
        )
    )
    assert found["online_store"]["key_ttl_seconds"] == 30 * 24 * 3600
    assert found["offline_store"] == {"type": "duckdb", "staging_location": "s3://x"}
    assert found["batch_engine"] == {"type": "ray.engine", "max_workers": 8}
    assert found["auth"] == {
        "type": "oidc",
        "auth_discovery_url": "https://id/x/.well-known/openid-configuration",
        "issuer": "https://id/x",
        "audience": "a",
        "client_id": "x",
        "ca_cert_path": "/idp/ca.crt",
        "jwks_cache_lifespan_seconds": 60,
    }


def test_postgres_as_an_offline_store_is_a_class_of_ours_without_a_password_in_the_file():
    store = feature_store(project_model(offlineStore={"type": "postgres"}))["offline_store"]
    assert store == {"type": "featureplane.plugins.postgres.EnvironmentPostgreSQLOfflineStore"}


@pytest.mark.parametrize("conf", [{}, {"spark_conf": {}}, {"spark_conf": {"spark.sql.session.timeZone": "Asia/Tokyo"}}])
def test_a_spark_session_counts_in_utc_as_feasts_sql_does(conf):
    store = feature_store(project_model(offlineStore={"type": "spark", "options": {"region": "x", **conf}}))
    assert store["offline_store"] == {
        "type": "spark",
        "region": "x",
        "spark_conf": {"spark.sql.session.timeZone": "UTC"},
    }


def test_what_is_no_spark_configuration_is_left_for_feast_to_refuse():
    store = feature_store(project_model(offlineStore={"type": "spark", "options": {"spark_conf": ["a"]}}))
    assert store["offline_store"] == {"type": "spark", "spark_conf": ["a"]}


def test_the_spark_engine_is_a_class_of_ours_with_feasts_options():
    options = {"partitions": 8, "spark_conf": {"spark.master": "local[2]"}}
    store = feature_store(project_model(batchEngine={"type": "spark.engine", "options": options}))
    assert store["batch_engine"] == {"type": "featureplane.plugins.spark.SparkEngine", **options}


def test_a_spark_session_is_told_what_store_and_engine_say_and_the_engine_counts():
    stores = {"spark.master": "local[4]", "spark.jars": "/iceberg.jar"}
    found = spark_conf(
        project_model(
            offlineStore={"type": "spark", "options": {"spark_conf": stores}},
            batchEngine={"type": "spark.engine", "options": {"spark_conf": {"spark.master": "k8s://"}}},
        )
    )
    assert found == {"spark.master": "k8s://", "spark.jars": "/iceberg.jar"}


def test_the_configuration_says_who_wrote_it():
    text = render(project_model(), [])[names.FEATURE_STORE_FILE]
    assert text.startswith("# Written by Featureplane; edit the FeastProject instead.")


names_of_options = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=30) | st.sampled_from(
    [
        "$HOME",
        "${HOME}",
        "{{ x }}",
        "yes",
        "null",
        "1e3",
        "0777",
        "!!python/name:os.system",
        "&a",
        "*a",
        "<<",
        "a: b",
        "- a",
        "#",
        "\n",
        "\x85",
    ]
)
options = st.dictionaries(
    names_of_options,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names_of_options, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(offline=options, batch=options, auth=options, owner=texts)
def test_whatever_options_are_accepted_arrive_as_they_were_written(offline, batch, auth, owner):
    """Feast reads `yaml.safe_load(os.path.expandvars(text))`, see feast/repo_config.py."""
    item = a_project(
        owner=owner,
        offlineStore={"type": "duckdb", "options": offline},
        batchEngine={"options": batch},
        server={"auth": {"options": auth}},
    )
    if problems_in(item):
        return
    project = FeastProject.model_validate(item)
    text = render(project, [])[names.FEATURE_STORE_FILE]
    assert text.isascii()
    assert "$" not in text
    found = yaml.safe_load(os.path.expandvars(text))
    assert found == feature_store(project)
    assert found["offline_store"] == {"type": "duckdb", **offline}
    assert found["batch_engine"] == {"type": "featureplane.plugins.columnar.ColumnarEngine", **batch}
    assert found["auth"] == {"type": "no_auth", **auth}


@given(st.text(max_size=12))
def test_whatever_name_is_accepted_needs_no_quotes(name):
    item = a_project(project=name)
    if not problems_in(item):
        text = render(FeastProject.model_validate(item), [])[names.FEATURE_STORE_FILE]
        assert re.search(rf"^project: ['\"]?{re.escape(name)}['\"]?$", text, re.MULTILINE)
        assert yaml.safe_load(text)["project"] == name


@pytest.mark.parametrize("name", ["007", "1e3", "0x1F", "true", "No", "1_0", "null", "12-30", "2024-01-01"])
def test_a_project_that_looks_like_a_number_stays_a_name(name):
    text = render(project_model(project=name), [])[names.FEATURE_STORE_FILE]
    assert yaml.safe_load(text)["project"] == name
