"""How a pod finds the stores: by its environment, filled in from Secrets, and by certificate authorities as files.

Only the host must be in a Secret; every other reference is optional. So a pod waits (CreateContainerConfigError) until
its Secrets are there, and one that was made before them, when their keys could only be guessed, does not wait for a key
that never comes: it connects or fails, and its successor knows the keys.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from featureplane.manifests.context import Context
from featureplane.manifests.secret_keys import (
    CA,
    CASSANDRA_STANDARD,
    POSTGRES_STANDARD,
    REDIS_STANDARD,
    cassandra_keys,
    postgres_keys,
    postgres_ssl_mode,
    redis_keys,
)
from featureplane.model.feast_project import S3, FeastProject
from featureplane.settings import ObjectStore

_CA_FOLDER = "/etc/featureplane-ca"


@dataclass(frozen=True)
class Surroundings:
    """Parts of a container and of its pod."""

    env: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)

    def __add__(self, other: "Surroundings") -> "Surroundings":
        return Surroundings(self.env + other.env, self.mounts + other.mounts, self.volumes + other.volumes)


def stores(context: Context) -> Surroundings:
    """Both stores, for every pod."""
    return registry(context) + _online(context)


def registry(context: Context) -> Surroundings:
    """The registry alone, for the step that writes the repo."""
    return Surroundings([plain("FEATUREPLANE_STORES", "environment")]) + _registry(context)


def object_store(project: FeastProject) -> ObjectStore:
    """The S3 store with the project's sources, without what is secret of it."""
    offline = project.spec.offline_store
    if offline.data_root is None or not offline.data_root.is_s3:
        return ObjectStore()
    s3 = offline.data_root.s3 or S3()
    # Who has an endpoint of his own has no region that Amazon could tell.
    region = s3.region or ("us-east-1" if s3.endpoint else "")
    return ObjectStore(s3.endpoint.rstrip("/"), region, offline.secret_ref.name if offline.secret_ref else "")


def plain(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": value}


def _registry(context: Context) -> Surroundings:
    secret = context.project.spec.registry.postgresql.secret_ref.name
    facts = context.secrets.get(secret)
    keys = facts.keys if facts else POSTGRES_STANDARD
    env = _from_secret(secret, {"PGHOST": "host", **postgres_keys(keys)})
    if mode := postgres_ssl_mode(keys):
        env.append(plain("PGSSLMODE", mode))
    return Surroundings(env) + _authority(secret, keys, "registry", "PGSSLROOTCERT")


def _online(context: Context) -> Surroundings:
    cassandra = context.project.spec.online_store.cassandra
    if cassandra is not None:
        secret = cassandra.secret_ref.name
        facts = context.secrets.get(secret)
        known = facts.keys if facts else CASSANDRA_STANDARD
        given = Surroundings(_from_secret(secret, cassandra_keys(known)))
        return given + _authority(secret, known, "online", "FEATUREPLANE_CASSANDRA_CA_FILE")
    redis = context.project.spec.online_store.redis
    secret = redis.secret_ref.name
    facts = context.secrets.get(secret)
    keys = facts.keys if facts else REDIS_STANDARD
    env = _from_secret(secret, {"FEATUREPLANE_REDIS_HOST": "host", **redis_keys(keys)})
    env += [plain("FEATUREPLANE_REDIS_MODE", redis.mode), plain("FEATUREPLANE_REDIS_TLS", str(redis.tls).lower())]
    if redis.sentinel_master:
        env.append(plain("FEATUREPLANE_REDIS_SENTINEL_MASTER", redis.sentinel_master))
    return Surroundings(env) + _authority(secret, keys, "online", "FEATUREPLANE_REDIS_CA_FILE")


def _from_secret(secret: str, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "valueFrom": {"secretKeyRef": {"name": secret, "key": key, **({} if key == "host" else _OPTIONAL)}},
        }
        for name, key in keys.items()
    ]


_OPTIONAL = {"optional": True}


def _authority(secret: str, keys: Collection[str], store: str, variable: str) -> Surroundings:
    if CA not in keys:
        return Surroundings()
    volume, folder = f"{store}-ca", f"{_CA_FOLDER}/{store}"
    return Surroundings(
        [plain(variable, f"{folder}/{CA}")],
        [{"name": volume, "mountPath": folder, "readOnly": True}],
        [{"name": volume, "secret": {"secretName": secret, "items": [{"key": CA, "path": CA}]}}],
    )
