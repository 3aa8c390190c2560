"""Where a project's stores are, out of the Secrets that it names."""

import hashlib
import ipaddress
import tempfile
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from featureplane.controller.cluster import Cluster, Secret
from featureplane.errors import FeatureplaneError, InputError
from featureplane.manifests.secret_keys import (
    CA,
    CASSANDRA_STANDARD,
    POSTGRES_STANDARD,
    REDIS_STANDARD,
    cassandra_problem,
    postgres_keys,
    postgres_problem,
    postgres_ssl_mode,
    redis_keys,
    redis_problem,
)
from featureplane.model.feast_project import FeastProject
from featureplane.settings import PostgresAddress, RedisAddress, Stores


class SecretTrouble(FeatureplaneError):
    """A Secret that a project names is not there, or not complete. `reason` is a condition's."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


async def secrets_of(cluster: Cluster, project: FeastProject) -> dict[str, Secret | None]:
    """The Secrets that the project names, by name; None for one that is not there."""
    found = {}
    for name in sorted(secret_names(project)):
        found[name] = await cluster.secret(project.metadata.namespace, name)
    return found


def versions_of(secrets: Mapping[str, Secret | None]) -> dict[str, str | None]:
    """The resource version of each Secret, None for one that is not there: two looks compare these."""
    return {name: secret.resource_version if secret else None for name, secret in secrets.items()}


def secret_names(project: FeastProject) -> set[str]:
    """Every Secret that the project names."""
    spec = project.spec
    references = [
        spec.registry.postgresql.secret_ref,
        spec.online_store.secret_ref,
        spec.offline_store.secret_ref,
    ]
    return {reference.name for reference in references if reference}


def stores_of(project: FeastProject, secrets: Mapping[str, Secret | None], own_namespace: str) -> Stores:
    """The addresses in the Secrets. Raises SecretTrouble, which names the Secret and the key and shows no value."""
    return Stores(postgres_of(project, secrets, own_namespace), _redis(project, secrets))


def postgres_of(project: FeastProject, secrets: Mapping[str, Secret | None], own_namespace: str) -> PostgresAddress:
    """The registry's address alone. Raises SecretTrouble."""
    spec, namespace = project.spec, project.metadata.namespace
    registry = _needed(spec.registry.postgresql.secret_ref.name, namespace, secrets, POSTGRES_STANDARD)
    if problem := postgres_problem(spec.registry.postgresql.secret_ref.name, registry.values):
        raise SecretTrouble("SecretIncomplete", problem)
    values = {variable: registry.values[key] for variable, key in postgres_keys(registry.values).items()}
    keywords = dict(PostgresAddress.from_env(values).keywords)
    keywords["host"] = _seen_from(own_namespace, namespace, keywords["host"])
    if CA in registry.values:
        keywords["sslrootcert"] = _file(registry.values[CA])
    if mode := postgres_ssl_mode(registry.values):
        keywords["sslmode"] = mode
    return PostgresAddress(keywords)


def redis_of(project: FeastProject, secrets: Mapping[str, Secret | None], own_namespace: str) -> RedisAddress:
    """The online store's address alone. Raises SecretTrouble."""
    name, namespace = project.spec.online_store.redis.secret_ref.name, project.metadata.namespace
    secret = _needed(name, namespace, secrets, REDIS_STANDARD)
    if problem := redis_problem(name, secret.values):
        raise SecretTrouble("SecretIncomplete", problem)
    address = _redis(project, secrets)
    authority = _file(secret.values[CA]) if CA in secret.values else address.ca_file
    return replace(address, host=_seen_from(own_namespace, namespace, address.host), ca_file=authority)


def check_cassandra(project: FeastProject, secrets: Mapping[str, Secret | None]) -> None:
    """Look at the Secret of a Cassandra; where the servers are stands in the project. Raises SecretTrouble."""
    name = project.spec.online_store.secret_ref.name
    secret = _needed(name, project.metadata.namespace, secrets, CASSANDRA_STANDARD)
    if problem := cassandra_problem(name, secret.values):
        raise SecretTrouble("SecretIncomplete", problem)


def _redis(project: FeastProject, secrets: Mapping[str, Secret | None]) -> RedisAddress:
    """The writer never speaks to Redis: one that is not there yet must not keep definitions from the registry."""
    if project.spec.online_store.cassandra is not None:
        return RedisAddress()
    online = project.spec.online_store.redis
    secret = secrets.get(online.secret_ref.name)
    keys = redis_keys(secret.values) if secret else {}
    try:
        address = RedisAddress.from_env({name: secret.values[key] for name, key in keys.items()} if secret else {})
    except InputError as error:
        # The error's own words hold the value.
        wrong = ", ".join(repr(keys.get(problem.path, problem.path)) for problem in error.problems)
        raise SecretTrouble(
            "SecretIncomplete",
            f"the Secret {online.secret_ref.name!r} has no number under {wrong} that can be one; write digits alone",
        ) from None
    return replace(address, mode=online.mode, tls=online.tls, sentinel_master=online.sentinel_master)


def _needed(name: str, namespace: str, secrets: Mapping[str, Secret | None], standard: Collection[str]) -> Secret:
    secret = secrets.get(name)
    if secret is None:
        raise SecretTrouble(
            "SecretNotFound",
            f"there is no Secret {name!r} in {namespace!r}; create it with the keys {', '.join(standard)}, "
            "as far as needed",
        )
    return secret


def _seen_from(own_namespace: str, namespace: str, host: str) -> str:
    """A Service is named without its namespace by those who share it; from another one it needs it."""
    if own_namespace == namespace or host == "localhost" or {".", "/", ":"} & set(host) or _is_address(host):
        return host
    return f"{host}.{namespace}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _file(text: str) -> str:
    """A certificate authority as the file that libpq wants; the same text is the same file."""
    folder = Path(tempfile.gettempdir()) / "featureplane-ca"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.crt"
    if not path.exists():
        new = path.with_suffix(f".{threading.get_ident()}")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    return str(path)
