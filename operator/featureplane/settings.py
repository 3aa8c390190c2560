"""What the surroundings decide: addresses of the stores and where local state lies.

`Settings.from_env` is the only reader of the environment. A child process gets its stores through the environment that
`Stores.environment` makes, and never through a command line, where every user of the machine could read a password.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, cast

from featureplane.errors import InputError, Problem

# libpq's own variables, and the connection keyword each stands for (libpq, "Environment Variables").
_LIBPQ = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGDATABASE": "dbname",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGPASSFILE": "passfile",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGCHANNELBINDING": "channel_binding",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGOPTIONS": "options",
}

# A service file names an address of its own.
_LIBPQ_SERVICE = ("PGSERVICE", "PGSERVICEFILE")

_REDIS_PREFIX = "FEATUREPLANE_REDIS_"
_OFFLINE_PREFIX = "FEATUREPLANE_OFFLINE_"

StoresMode = Literal["local", "environment"]
RedisMode = Literal["Standalone", "Cluster", "Sentinel"]


@dataclass(frozen=True)
class PostgresAddress:
    """A PostgreSQL database as libpq's connection keywords; `str()` shows it without its password."""

    keywords: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], prefix: str = "") -> Self:
        return cls({keyword: environ[prefix + name] for name, keyword in _LIBPQ.items() if environ.get(prefix + name)})

    def environment(self) -> dict[str, str]:
        return {name: self.keywords[keyword] for name, keyword in _LIBPQ.items() if keyword in self.keywords}

    def with_database(self, dbname: str) -> "PostgresAddress":
        return PostgresAddress({**self.keywords, "dbname": dbname})

    @property
    def dbname(self) -> str:
        return self.keywords.get("dbname") or self.keywords.get("user") or "postgres"

    def __str__(self) -> str:
        host = self.keywords.get("host", "localhost")
        port = self.keywords.get("port", "5432")
        return f"postgresql://{host}:{port}/{self.dbname}"


def _choice(environ: Mapping[str, str], name: str, *choices: str) -> str:
    """The variable's value, the first choice where it is not set. Raises InputError for any other."""
    text = environ.get(name) or choices[0]
    if text not in choices:
        raise InputError([Problem("", 0, name, f"{text[:60]!a} is not known", "write one of " + ", ".join(choices))])
    return text


def _number(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    """The variable's value from 0 to `most`. A Service named `featureplane-redis` gives every pod of its namespace a
    FEATUREPLANE_REDIS_PORT with a URL in it: that is an InputError too.
    """
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > most:
        raise InputError([Problem("", 0, name, f"{text[:60]!a} is not allowed here", f"write a number up to {most}")])
    return int(text)


@dataclass(frozen=True)
class RedisAddress:
    """A Redis (or Valkey) server, cluster or Sentinel group; `str()` shows it without its password."""

    host: str = "localhost"
    port: int = 6379
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: bool = False
    ca_file: str = ""
    mode: RedisMode = "Standalone"
    sentinel_master: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        def read(name: str, default: str = "") -> str:
            return environ.get(_REDIS_PREFIX + name) or default

        mode = _choice(environ, _REDIS_PREFIX + "MODE", "Standalone", "Cluster", "Sentinel")
        return cls(
            host=read("HOST", "localhost"),
            port=_number(environ, _REDIS_PREFIX + "PORT", 6379, 65535),
            username=read("USERNAME"),
            password=read("PASSWORD"),
            db=_number(environ, _REDIS_PREFIX + "DB", 0, 2**31 - 1),
            tls=_choice(environ, _REDIS_PREFIX + "TLS", "false", "true") == "true",
            ca_file=read("CA_FILE"),
            mode=cast(RedisMode, mode),
            sentinel_master=read("SENTINEL_MASTER"),
        )

    def environment(self) -> dict[str, str]:
        values = {
            "HOST": self.host,
            "PORT": str(self.port),
            "USERNAME": self.username,
            "PASSWORD": self.password,
            "DB": str(self.db),
            "TLS": str(self.tls).lower(),
            "CA_FILE": self.ca_file,
            "MODE": self.mode,
            "SENTINEL_MASTER": self.sentinel_master,
        }
        return {_REDIS_PREFIX + name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.db}"


@dataclass(frozen=True)
class Stores:
    """The two stores that every part needs: PostgreSQL for the registry, Redis for the rows."""

    postgres: PostgresAddress
    redis: RedisAddress

    def environment(self) -> dict[str, str]:
        """The variables by which a child process finds both stores."""
        return {**self.postgres.environment(), **self.redis.environment()}


@dataclass(frozen=True)
class Settings:
    """Everything read from the environment, once, at the start of a process."""

    stores: StoresMode
    state_dir: Path
    data_root: Path | None
    postgres: PostgresAddress
    redis: RedisAddress
    # The PostgreSQL with source tables: FEATUREPLANE_OFFLINE_PGHOST and its kin, else the registry's.
    offline: PostgresAddress
    search_path: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (`os.environ` unless given). Raises InputError for a value that is not known."""
        environ = os.environ if environ is None else environ
        data_root = environ.get("FEATUREPLANE_DATA_ROOT")
        return cls(
            stores=cast(StoresMode, _choice(environ, "FEATUREPLANE_STORES", "local", "environment")),
            state_dir=Path(environ.get("FEATUREPLANE_STATE_DIR") or ".featureplane"),
            data_root=Path(data_root) if data_root else None,
            postgres=PostgresAddress.from_env(environ),
            redis=RedisAddress.from_env(environ),
            offline=PostgresAddress.from_env(environ, _OFFLINE_PREFIX if f"{_OFFLINE_PREFIX}PGHOST" in environ else ""),
            search_path=environ.get("PATH", os.defpath),
        )


def child_environment(stores: Stores | None = None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process: ours without any store's address, then that of `stores`."""
    environ = os.environ if environ is None else environ
    ours = {*_LIBPQ, *_LIBPQ_SERVICE}
    kept = {name: value for name, value in environ.items() if name not in ours and not name.startswith(_REDIS_PREFIX)}
    return {**kept, **(stores.environment() if stores else {})}
