"""What the surroundings decide: addresses of the stores and where local state lies.

`Settings.from_env` is the only reader of the environment. A child process gets its stores through the environment that
`Stores.environment` makes, and never through a command line, where every user of the machine could read a password.
"""

import os
import re
import zlib
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

POSTGRES_KEYWORDS = frozenset(_LIBPQ.values())

# A service file names an address of its own.
_LIBPQ_SERVICE = ("PGSERVICE", "PGSERVICEFILE")

# An Indexed Job's pods are no more than a cluster can hold at once.
_MOST_SHARDS = 1000

_REDIS_PREFIX = "FEATUREPLANE_REDIS_"
_CASSANDRA_PREFIX = "FEATUREPLANE_CASSANDRA_"
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
class CassandraAccount:
    """Who a Cassandra cluster lets in; where it is, the FeastProject says."""

    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return cls(*(environ.get(_CASSANDRA_PREFIX + name) or "" for name in ("USERNAME", "PASSWORD", "CA_FILE")))


@dataclass(frozen=True)
class ObjectStore:
    """An S3 store by the AWS variables; `str()` shows where it is. Empty: Amazon's, its region found out.

    Credentials are not in here: each library looks for them by itself. `secret` is the name of the Secret with them.
    """

    endpoint: str = ""
    region: str = ""
    secret: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        return cls(
            environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "",
            environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
            environ.get(f"{_OFFLINE_PREFIX}SECRET") or "",
        )

    def environment(self) -> dict[str, str]:
        """The variables by which every library finds the store: some read one of two names, some the other."""
        values = {
            "AWS_ENDPOINT_URL": self.endpoint,
            # It goes before the other one, and a user's shell may have it for another store.
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ALLOW_HTTP": "true" if self.endpoint.startswith("http://") else "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            f"{_OFFLINE_PREFIX}SECRET": self.secret,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def says_where(self) -> bool:
        """Whether it need not be asked of Amazon in which region a bucket is."""
        return bool(self.endpoint or self.region)

    @property
    def credentials(self) -> str:
        """What they are called in a message."""
        return f"the Secret {self.secret!r}" if self.secret else "the environment's credentials"

    def __str__(self) -> str:
        return self.endpoint or "Amazon S3" + (f" in {self.region}" if self.region else "")


# The kubelet's, in a pod with a token.
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class InCluster:
    """The API server of the cluster that this is a pod of, and the files by which a pod may ask it."""

    url: str
    folder: Path = _SERVICE_ACCOUNT

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self | None:
        """None outside of a cluster."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port}") if host else None

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def authority_file(self) -> Path:
        return self.folder / "ca.crt"


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
    object_store: ObjectStore = ObjectStore()
    cassandra: CassandraAccount = CassandraAccount()
    # The Kubernetes Job that this is a pod of, by its name, and which part of the views is this pod's.
    job: str = ""
    shards: int = 1
    shard: int = 0
    # Whether OpenTelemetry's variables say where spans go to; its SDK reads them by itself.
    traces: bool = False
    in_cluster: InCluster | None = None
    # What a client shows to a server that asks who comes.
    token: str = field(default="", repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (`os.environ` unless given). Raises InputError for a value that is not known."""
        environ = os.environ if environ is None else environ
        data_root = environ.get("FEATUREPLANE_DATA_ROOT")
        shards = max(_number(environ, "FEATUREPLANE_SHARDS", 1, _MOST_SHARDS), 1)
        return cls(
            stores=cast(StoresMode, _choice(environ, "FEATUREPLANE_STORES", "local", "environment")),
            state_dir=Path(environ.get("FEATUREPLANE_STATE_DIR") or ".featureplane"),
            data_root=Path(data_root) if data_root else None,
            postgres=PostgresAddress.from_env(environ),
            redis=RedisAddress.from_env(environ),
            offline=PostgresAddress.from_env(environ, _OFFLINE_PREFIX if f"{_OFFLINE_PREFIX}PGHOST" in environ else ""),
            search_path=environ.get("PATH", os.defpath),
            object_store=ObjectStore.from_env(environ),
            cassandra=CassandraAccount.from_env(environ),
            job=environ.get("FEATUREPLANE_JOB", ""),
            shards=shards,
            # Kubernetes' own variable in the pods of an Indexed Job. An index beyond the shards is an error: where the
            # Job and the number of shards disagree, some view may be in no pod's part.
            shard=_number(environ, "JOB_COMPLETION_INDEX", 0, shards - 1) if shards > 1 else 0,
            traces=_wants_traces(environ),
            in_cluster=InCluster.from_env(environ),
            token=environ.get("FEATUREPLANE_TOKEN", "").strip(),
        )


def _wants_traces(environ: Mapping[str, str]) -> bool:
    """As OpenTelemetry's specification of environment variables has it."""
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return bool(endpoint) and not off and exporter.strip() == "otlp"


def in_part(view: str, part: int, parts: int) -> bool:
    """Whether a view is in a part of all views, by its name alone; with one part every view is."""
    return zlib.crc32(view.encode()) % parts == part


@dataclass(frozen=True)
class OperatorSettings:
    """How the operator runs; times in seconds."""

    # The operator's own namespace. `watched` is the one it serves, None for all.
    namespace: str
    watched: str | None
    kubeconfig: Path | None
    # What the pods run.
    image: str
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    # Where liveness, readiness and metrics answer.
    port: int
    # Everything is looked at again after this long, with a jitter of a tenth.
    resync: int
    # How often the resource versions of Secrets are compared.
    secrets_poll: int
    # A deleted object is let go after this long with a registry that does not answer.
    orphan_after: int
    # The registry's writer, which holds Feast in memory, ends after this long without work.
    writer_idle: int
    log_format: Literal["text", "json"]
    log_level: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (`os.environ` unless given). Raises InputError for a value that is not known."""
        environ = os.environ if environ is None else environ
        namespace = environ.get("FEATUREPLANE_NAMESPACE") or "default"
        watch = _choice(environ, "FEATUREPLANE_WATCH", "own", "all")
        kubeconfig = environ.get("KUBECONFIG")
        pull_secrets = environ.get("FEATUREPLANE_IMAGE_PULL_SECRETS", "")
        return cls(
            namespace=namespace,
            watched=namespace if watch == "own" else None,
            kubeconfig=Path(kubeconfig) if kubeconfig else None,
            image=environ.get("FEATUREPLANE_IMAGE") or "featureplane",
            image_pull_policy=_choice(environ, "FEATUREPLANE_IMAGE_PULL_POLICY", "IfNotPresent", "Always", "Never"),
            image_pull_secrets=tuple(name.strip() for name in pull_secrets.split(",") if name.strip()),
            port=_number(environ, "FEATUREPLANE_OPERATOR_PORT", 8081, 65535),
            resync=_number(environ, "FEATUREPLANE_RESYNC_SECONDS", 600, _DAY),
            secrets_poll=_number(environ, "FEATUREPLANE_SECRETS_POLL_SECONDS", 15, _DAY),
            orphan_after=_number(environ, "FEATUREPLANE_ORPHAN_AFTER_SECONDS", 600, 7 * _DAY),
            writer_idle=_number(environ, "FEATUREPLANE_WRITER_IDLE_SECONDS", 600, _DAY),
            log_format=cast(Literal["text", "json"], _choice(environ, "FEATUREPLANE_LOG_FORMAT", "text", "json")),
            log_level=_choice(environ, "FEATUREPLANE_LOG_LEVEL", "info", "debug", "warning", "error"),
        )


_DAY = 86_400


def child_environment(stores: Stores | None = None, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process: ours without any store's address, then that of `stores`."""
    environ = os.environ if environ is None else environ
    ours = {*_LIBPQ, *_LIBPQ_SERVICE}
    kept = {name: value for name, value in environ.items() if name not in ours and not name.startswith(_REDIS_PREFIX)}
    return {**kept, **(stores.environment() if stores else {})}
