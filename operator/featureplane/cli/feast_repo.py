"""A Feast repo's feature_store.yaml, as far as its project can be served from the stores that it names."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from featureplane.errors import FeatureplaneError, InputError, Problem
from featureplane.names import FEATURE_STORE_FILE
from featureplane.settings import POSTGRES_KEYWORDS, PostgresAddress, RedisAddress, RedisMode, Stores

_VERSION = 3
_MODES: dict[str, RedisMode] = {"redis": "Standalone", "redis_cluster": "Cluster", "redis_sentinel": "Sentinel"}
# Parameters of a connection string that say how to reach Redis, and such that only say how long to wait.
_REDIS = {"username": "username", "password": "password", "db": "db", "ssl": "tls", "ssl_ca_certs": "ca_file"}
_REDIS_NOT_NEEDED = {
    "skip_full_coverage_check", "socket_timeout", "socket_connect_timeout", "socket_keepalive", "health_check_interval",
    "retry_on_timeout", "max_connections", "decode_responses",
}  # fmt: skip


@dataclass(frozen=True)
class FeastRepo:
    """The project's name, its stores, and whether it keeps rows of each version of a view."""

    project: str
    stores: Stores
    is_versioned: bool = False


class _Wrong(Exception):
    """A field cannot be what it is: its path, why, and what to write."""


def read_feast_repo(folder: Path) -> FeastRepo:
    """Read the file. Raises InputError, with the field, for stores that nothing is served from here."""
    path = folder / FEATURE_STORE_FILE
    try:
        # As Feast does, so that a file may leave its passwords to the environment.
        config = yaml.safe_load(os.path.expandvars(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise FeatureplaneError(
            f"{path} cannot be read: {error.strerror}; name the folder of a Feast repo with --feast-repo"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(
            [Problem(str(path), 0, "", "is not YAML", "correct it, or name another --feast-repo")]
        ) from None
    try:
        return _repo(_mapping(config, ""))
    except _Wrong as wrong:
        field_, message, remedy = wrong.args
        raise InputError([Problem(str(path), 0, field_, message, remedy)]) from None


def _repo(config: Mapping[str, Any]) -> FeastRepo:
    project = config.get("project")
    if not isinstance(project, str) or not project:
        raise _Wrong("project", "is missing", "write the project's name")
    version = config.get("entity_key_serialization_version", _VERSION)
    if version != _VERSION:
        remedy = f"set {_VERSION} and materialize again: keys of another version are not found"
        raise _Wrong("entity_key_serialization_version", f"{version!r} is not served", remedy)
    registry = _mapping(config.get("registry"), "registry")
    is_versioned = bool(registry.get("enable_online_feature_view_versioning"))
    online = _mapping(config.get("online_store"), "online_store")
    return FeastRepo(project, Stores(_postgres(registry), _redis(online)), is_versioned)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(where, "is not a mapping of fields", "write it as Feast's documentation has it for this kind")
    return value


def _postgres(registry: Mapping[str, Any]) -> PostgresAddress:
    if (kind := registry.get("registry_type")) != "sql":
        raise _Wrong("registry.registry_type", f"{kind!r} is not served", "serve a registry in PostgreSQL: sql")
    try:
        # No word of what it holds: that may be a password.
        url = make_url(registry.get("read_path") or registry.get("path") or "")
    except ArgumentError:
        raise _Wrong("registry.path", "is no URL", "write postgresql+psycopg://USER@HOST/DATABASE") from None
    if url.get_backend_name() != "postgresql":
        raise _Wrong("registry.path", f"{url.get_backend_name()} is not served", "serve a registry in PostgreSQL")
    given = {
        "host": url.host, "port": url.port, "user": url.username, "password": url.password, "dbname": url.database,
        **{name: value for name, value in url.query.items() if isinstance(value, str)},
    }  # fmt: skip
    for name in given.keys() - POSTGRES_KEYWORDS:
        raise _Wrong("registry.path", f"the parameter {name!r} is not known here", "leave it out, or use PG* variables")
    return PostgresAddress({name: str(value) for name, value in given.items() if value is not None})


def _redis(online: Mapping[str, Any]) -> RedisAddress:
    if (kind := online.get("type")) != "redis":
        raise _Wrong("online_store.type", f"{kind!r} is not served", "serve rows in Redis: redis")
    if (mode := online.get("redis_type", "redis")) not in _MODES:
        raise _Wrong("online_store.redis_type", f"{mode!r} is not known", f"write one of {', '.join(_MODES)}")
    parts = str(online.get("connection_string", "localhost:6379")).split(",")
    servers = [part for part in parts if "=" not in part]
    host, _, port = servers[0].rpartition(":") if servers else ("", "", "")
    if not host or not port.isdecimal():
        raise _Wrong("online_store.connection_string", "begins with no HOST:PORT", "write it first")
    given = _parameters([part for part in parts if "=" in part])
    return RedisAddress(
        host=host,
        port=int(port),
        mode=_MODES[mode],
        sentinel_master=online.get("sentinel_master", "mymaster") if mode == "redis_sentinel" else "",
        **given,
    )


def _parameters(parts: list[str]) -> dict[str, Any]:
    """`name=value`, each value JSON or a text, as Feast reads them."""
    found: dict[str, Any] = {}
    for part in parts:
        name, _, text = part.partition("=")
        if name in _REDIS_NOT_NEEDED:
            continue
        if name not in _REDIS:
            known = ", ".join(_REDIS)
            raise _Wrong(
                "online_store.connection_string", f"the parameter {name!r} is not known here", f"known are {known}"
            )
        found[_REDIS[name]] = _typed(name, text)
    return found


def _typed(name: str, text: str) -> Any:
    if name not in {"db", "ssl"}:
        value = _json(text)
        return value if isinstance(value, str) else text
    wanted, what = (int, "number") if name == "db" else (bool, "true or false")
    value = _json(text.lower())
    if type(value) is not wanted:
        raise _Wrong("online_store.connection_string", f"{name} is no {what}", f"write {name}={what}")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None
