"""A Feast repo as files: `definitions.json`, the constant loader and a `feature_store.yaml` without secrets."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from featureplane import names
from featureplane.model.auth import Auth
from featureplane.model.feast_project import FeastProject, OfflineStore
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
    redis = spec.online_store.redis
    online: dict[str, Any] = {
        "type": "featureplane.plugins.redis.EnvironmentRedisOnlineStore",
        "full_scan_for_deletion": False,
    }
    if redis.key_ttl:
        online["key_ttl_seconds"] = int(redis.key_ttl.total_seconds())
    engine = OUR_ENGINES.get(spec.batch_engine.type, spec.batch_engine.type)
    offline = OUR_OFFLINE_STORES.get(spec.offline_store.type, spec.offline_store.type)
    return {
        "project": spec.project,
        **base,
        "online_store": online,
        "offline_store": {"type": offline, **_offline_options(spec.offline_store)},
        "batch_engine": {"type": engine, **spec.batch_engine.options},
        "auth": _auth(spec.server.auth),
    }


def _auth(auth: Auth) -> dict[str, Any]:
    """For Feast's own servers, the remote registry and the offline server among them."""
    of_issuer = auth.oidc.feast_options() if auth.oidc else {}
    return {"type": "no_auth" if auth.type == "none" else auth.type, **of_issuer, **auth.options}


def _offline_options(store: OfflineStore) -> dict[str, Any]:
    given = store.options.get("spark_conf") or {}
    if store.type != "spark" or not isinstance(given, dict):  # Feast says what is wrong with another
        return store.options
    return {**store.options, "spark_conf": {**given, **SPARK_TIME_ZONE}}
