"""A Feast repo as files: `definitions.json`, the constant loader and a `feature_store.yaml` without secrets."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from featureplane import names
from featureplane.model.auth import Auth
from featureplane.model.feast_project import FeastProject, OfflineStore, OnlineStore
from featureplane.rendering.definitions import Definition, document

_HEADER = (
    "# Written by Featureplane; edit the FeastProject instead. Addresses and passwords come from the environment.\n"
)


# Feast's own classes want an address and a password in the file, and lose rows of training data: see `plugins`.
OUR_ENGINES = {
    "columnar": "featureplane.plugins.columnar.ColumnarEngine",
    "spark.engine": "featureplane.plugins.spark.SparkEngine",
}
OUR_OFFLINE_STORES = {
    "file": "featureplane.plugins.files.FilesOfflineStore",
    "postgres": "featureplane.plugins.postgres.EnvironmentPostgreSQLOfflineStore",
}

# Rows that Feast's engine has in memory at a time: all of a view's otherwise.
_CASSANDRA_BATCH = 10_000

# Feast writes event times into Spark's SQL as texts in UTC, whatever the session's time zone is.
SPARK_TIME_ZONE = {"spark.sql.session.timeZone": "UTC"}


def feature_repo() -> Traversable:
    """The folder with the constant loader and the base of feature_store.yaml, as it is installed."""
    return files("featureplane") / "feature_repo"


def render(project: FeastProject, definitions: Iterable[Definition]) -> dict[str, str]:
    """File name to text. The same models give the same bytes."""
    return {
        names.DEFINITIONS_FILE: document(project.spec.project, definitions),
        names.LOADER_FILE: (feature_repo() / names.LOADER_FILE).read_text(encoding="utf-8"),
        names.FEATURE_STORE_FILE: _HEADER
        + yaml.safe_dump(feature_store(project), sort_keys=False, allow_unicode=False),
    }


def feature_store(project: FeastProject) -> Mapping[str, Any]:
    """The content of feature_store.yaml: the base that every process has, and what this project chose.

    No string in it holds `$`: the models refuse it where Feast would expand it.
    """
    base: dict[str, Any] = yaml.safe_load((feature_repo() / names.FEATURE_STORE_FILE).read_text(encoding="utf-8"))
    spec = project.spec
    engine = OUR_ENGINES.get(spec.batch_engine.type, spec.batch_engine.type)
    offline = OUR_OFFLINE_STORES.get(spec.offline_store.type, spec.offline_store.type)
    return {
        "project": spec.project,
        **base,
        "online_store": _online_store(spec.online_store),
        "offline_store": {"type": offline, **_offline_options(spec.offline_store)},
        "batch_engine": {"type": engine, **spec.batch_engine.options},
        "auth": _auth(spec.server.auth),
        **({"materialization": {"online_write_batch_size": _CASSANDRA_BATCH}} if spec.online_store.cassandra else {}),
    }


def _online_store(store: OnlineStore) -> dict[str, Any]:
    """Where the store is, and nothing of who may use it."""
    if store.cassandra is not None:
        named = store.cassandra.model_dump(mode="json", include={"hosts", "port", "keyspace", "datacenter", "tls"})
        kind = "featureplane.plugins.cassandra.EnvironmentCassandraOnlineStore"
        return {"type": kind, **named, "secret": store.secret_ref.name}
    online: dict[str, Any] = {
        "type": "featureplane.plugins.redis.EnvironmentRedisOnlineStore",
        "full_scan_for_deletion": False,
    }
    if store.redis.key_ttl:
        online["key_ttl_seconds"] = int(store.redis.key_ttl.total_seconds())
    return online


def _auth(auth: Auth) -> dict[str, Any]:
    """For Feast's own servers, the remote registry and the offline server among them."""
    of_issuer = auth.oidc.feast_options() if auth.oidc else {}
    return {"type": "no_auth" if auth.type == "none" else auth.type, **of_issuer, **auth.options}


def spark_conf(project: FeastProject) -> Mapping[str, str]:
    """What a session of Spark's is told: the offline store's options and the engine's, which count where both are."""
    stores = (project.spec.offline_store.options, project.spec.batch_engine.options)
    given = [options.get("spark_conf") for options in stores]
    return {str(key): str(value) for each in given if isinstance(each, dict) for key, value in each.items()}


def _offline_options(store: OfflineStore) -> dict[str, Any]:
    given = store.options.get("spark_conf") or {}
    if store.type != "spark" or not isinstance(given, dict):  # Feast says what is wrong with another
        return store.options
    return {**store.options, "spark_conf": {**given, **SPARK_TIME_ZONE}}
