from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featureplane.errors import InputError
from featureplane.settings import (
    ObjectStore,
    PostgresAddress,
    RedisAddress,
    Settings,
    Stores,
    child_environment,
    in_part,
)

# An environment variable holds anything but NUL and halves of a surrogate pair.
texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=40)


def test_an_empty_environment_means_a_laptop():
    settings = Settings.from_env({})
    assert settings.stores == "local"
    assert settings.state_dir == Path(".featureplane")
    assert settings.data_root is None
    assert str(settings.postgres) == "postgresql://localhost:5432/postgres"
    assert str(settings.redis) == "redis://localhost:6379/0"


def test_the_environment_is_os_environ_unless_given(monkeypatch):
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", "/somewhere")
    assert Settings.from_env().state_dir == Path("/somewhere")


def test_every_setting_is_read():
    settings = Settings.from_env(
        {
            "FEATUREPLANE_STORES": "environment",
            "FEATUREPLANE_STATE_DIR": "/state",
            "FEATUREPLANE_DATA_ROOT": "/lake",
            "PATH": "/bin",
            "PGHOST": "db",
            "PGPORT": "5433",
            "PGDATABASE": "feast",
            "PGUSER": "u",
            "PGPASSWORD": "p",
            "FEATUREPLANE_REDIS_HOST": "r",
            "FEATUREPLANE_REDIS_PORT": "6380",
            "FEATUREPLANE_REDIS_DB": "3",
            "FEATUREPLANE_REDIS_TLS": "true",
            "FEATUREPLANE_REDIS_MODE": "Sentinel",
            "FEATUREPLANE_REDIS_SENTINEL_MASTER": "m",
        }
    )
    assert settings.stores == "environment"
    assert (settings.state_dir, settings.data_root, settings.search_path) == (Path("/state"), Path("/lake"), "/bin")
    assert settings.postgres.keywords == {
        "host": "db",
        "port": "5433",
        "dbname": "feast",
        "user": "u",
        "password": "p",
    }
    assert settings.redis == RedisAddress("r", 6380, db=3, tls=True, mode="Sentinel", sentinel_master="m")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_object_store_survives_the_environment(name):
    store = Settings.from_env({name: "http://minio:9000", "AWS_DEFAULT_REGION": "eu-central-1"}).object_store
    assert store == ObjectStore("http://minio:9000", "eu-central-1")
    elsewhere = {"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": "http://other"}
    assert ObjectStore.from_env({**elsewhere, **store.environment()}) == store
    assert (str(store), str(ObjectStore()), ObjectStore().says_where) == ("http://minio:9000", "Amazon S3", False)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("FEATUREPLANE_STORES", "enviroment", "write one of local, environment"),
        ("FEATUREPLANE_REDIS_MODE", "cluster", "write one of Standalone, Cluster, Sentinel"),
        ("FEATUREPLANE_REDIS_TLS", "yes", "write one of false, true"),
        ("FEATUREPLANE_REDIS_PORT", "tcp://10.0.0.1:6379", "write a number up to 65535"),
        ("FEATUREPLANE_REDIS_PORT", "65536", "write a number up to 65535"),
        ("FEATUREPLANE_REDIS_PORT", "-1", "write a number up to 65535"),
        ("FEATUREPLANE_REDIS_PORT", "٣", "write a number up to 65535"),
        ("FEATUREPLANE_REDIS_DB", "9" * 5000, "write a number up to 2147483647"),
    ],
)
def test_a_value_that_is_not_known_is_refused_and_not_guessed(name, value, remedy):
    with pytest.raises(InputError) as caught:
        Settings.from_env({name: value})
    (problem,) = caught.value.problems
    assert (problem.path, problem.remedy) == (name, remedy)
    assert len(str(problem)) < 200


@given(st.dictionaries(st.sampled_from(["host", "port", "dbname", "user", "password", "sslmode", "options"]), texts))
def test_a_postgres_address_survives_the_environment(keywords):
    address = PostgresAddress(keywords)
    assert PostgresAddress.from_env(address.environment()) == address


@given(
    st.builds(
        RedisAddress,
        host=texts,
        port=st.integers(1, 65535),
        username=texts,
        password=texts,
        db=st.integers(0, 15),
        tls=st.booleans(),
        ca_file=texts,
        mode=st.sampled_from(["Standalone", "Cluster", "Sentinel"]),
        sentinel_master=texts,
    )
)
def test_a_redis_address_survives_the_environment(address):
    assert RedisAddress.from_env(address.environment()) == address


@pytest.mark.parametrize(
    ("keywords", "dbname"), [({"dbname": "d", "user": "u"}, "d"), ({"user": "u"}, "u"), ({}, "postgres")]
)
def test_the_database_is_named_as_libpq_does(keywords, dbname):
    assert PostgresAddress(keywords).dbname == dbname


def test_another_database_of_the_same_server():
    address = PostgresAddress({"host": "db", "dbname": "postgres"})
    assert address.with_database("feast").keywords == {"host": "db", "dbname": "feast"}


def test_no_text_of_an_address_holds_its_password():
    postgres, redis = PostgresAddress({"password": "geheim"}), RedisAddress(password="geheim", tls=True)
    settings = Settings.from_env({**postgres.environment(), **redis.environment()})
    for item in (postgres, redis, Stores(postgres, redis), settings):
        assert "geheim" not in f"{item}{item!r}"
    assert str(redis) == "rediss://localhost:6379/0"


def test_a_child_gets_the_stores_that_it_is_given_and_no_other():
    ours = {"PATH": "/bin", "PGPASSWORD": "old", "PGSSLMODE": "require", "FEATUREPLANE_REDIS_PASSWORD": "old"}
    stores = Stores(PostgresAddress({"host": "db"}), RedisAddress("r"))
    environment = child_environment(stores, ours)
    assert environment["PATH"] == "/bin"
    assert (environment["PGHOST"], environment["FEATUREPLANE_REDIS_HOST"]) == ("db", "r")
    assert not {"PGPASSWORD", "PGSSLMODE", "FEATUREPLANE_REDIS_PASSWORD"} & environment.keys()


def test_a_child_without_stores_gets_none(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "old")
    monkeypatch.setenv("FEATUREPLANE_REDIS_PASSWORD", "old")
    assert not {"PGPASSWORD", "FEATUREPLANE_REDIS_PASSWORD"} & child_environment().keys()


def test_every_name_is_in_just_one_shard():
    shards = [Settings.from_env({"FEATUREPLANE_SHARDS": "5", "JOB_COMPLETION_INDEX": str(index)}) for index in range(5)]
    names = [f"view_{number}" for number in range(200)]
    assert all(sum(in_part(name, shard.shard, shard.shards) for shard in shards) == 1 for name in names)
    assert all(any(in_part(name, shard.shard, shard.shards) for name in names) for shard in shards)


def test_without_shards_every_name_is_ours_whatever_the_index():
    assert Settings.from_env({"JOB_COMPLETION_INDEX": "3"}).shard == 0
    assert Settings.from_env({"FEATUREPLANE_SHARDS": "0"}).shards == 1


def test_an_index_beyond_the_shards_is_an_error():
    with pytest.raises(InputError, match="JOB_COMPLETION_INDEX"):
        Settings.from_env({"FEATUREPLANE_SHARDS": "3", "JOB_COMPLETION_INDEX": "3"})
