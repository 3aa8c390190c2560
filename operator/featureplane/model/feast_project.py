"""`FeastProject`: one Feast project, its stores, schedules and servers; what a platform engineer decides.

(Not `FeatureStore`: Feast's own operator has a kind of that name.)
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from featureplane import names
from featureplane.model.auth import Auth
from featureplane.model.base import (
    DNS_LABEL_PATTERN,
    Description,
    Found,
    Items,
    Kind,
    KubernetesName,
    Label,
    Model,
    Name,
    Owner,
    Tags,
    distinct,
    kubernetes,
    refuse,
    rule,
    shown,
    wrong,
)
from featureplane.model.cron import Cron, TimeZone
from featureplane.model.durations import Duration
from featureplane.model.open_values import Options, open_problems

# A CronJob adds 11 characters to its name for a Job, whose pods' label holds at most 63.
_LONGEST_CHILD = 52
# What the run history and the Jobs call runs that no schedule asked for.
_RUNS_WITHOUT_SCHEDULE = frozenset({"manual", "initial", "purge"})
# A Service's name is a label of DNS that starts with a letter (RFC 1035).
CHILD_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
# Where the pods have folders of their own.
_TAKEN_MOUNTS = ("/etc", "/tmp", "/feast")  # noqa: S108 - nothing is written there
ROOT_PATTERN = r"^(\.|/[A-Za-z0-9_.=/-]*|(s3|s3a|gs|abfs|abfss|hdfs|file)://[A-Za-z0-9_.@:=/-]+)$"
MOUNT_PATTERN = r"^/[A-Za-z0-9_.=/-]+$"
# No user and no password in it: every message may show it.
ENDPOINT_PATTERN = r"^(https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?)?$"
REGION_PATTERN = r"^[a-z0-9-]*$"
HOST_PATTERN = r"^[A-Za-z0-9._:-]+$"
KEYSPACE_PATTERN = r"^[a-z][a-z0-9_]*$"
DATACENTER_PATTERN = r"^[A-Za-z0-9._-]+$"
SENTINEL_PATTERN = r"^[A-Za-z0-9._-]*$"


def _pod_template(template: dict[str, Any]) -> dict[str, Any]:
    unknown = [((key,), "is no part of a pod template", "write metadata or spec") for key in template]
    parts = [((key,), "must be a mapping", "write its fields below it, indented") for key in template]
    refuse(
        [
            *(found for found in unknown if found[0][0] not in {"metadata", "spec"}),
            *(found for found in parts if not isinstance(template[found[0][0]], dict | None)),
            *open_problems(template),
        ]
    )
    return template


def _mount(path: str) -> str:
    taken = next((each for each in _TAKEN_MOUNTS if path.rstrip("/") == each or path.startswith(f"{each}/")), None)
    if taken:
        raise wrong(f"{shown(path)} lies where the pods have files of their own", "choose another one, like /data")
    return path


class SecretRef(Model):
    """A Secret in the project's namespace."""

    name: KubernetesName
    """Name of the Secret."""


class PostgresqlRegistry(Model):
    """The PostgreSQL database with Feast's registry and our tables beside it."""

    secret_ref: SecretRef = Field(default_factory=lambda: SecretRef(name="feast-registry"))
    """Secret with host, port, dbname, user and password, as CloudNativePG or the Service Binding specification write
    it."""
    create_database: bool = True
    """Create the database when it is missing."""


class Registry(Model):
    """Where definitions are kept."""

    postgresql: PostgresqlRegistry = Field(default_factory=PostgresqlRegistry)
    """A PostgreSQL database."""
    trust_user_defined_functions: bool = False
    """Work with a registry that holds Python functions (on-demand views, say). Feast executes them wherever it reads
    the registry: whoever may write to it runs code in every server and Job."""


class RedisOnlineStore(Model):
    """A Redis or Valkey server, cluster or Sentinel group."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "(has(self.mode) && self.mode == 'Sentinel') =="
                    " (has(self.sentinelMaster) && self.sentinelMaster != '')",
                    "sentinelMaster goes with mode Sentinel",
                ),
            ]
        )
    )

    mode: Literal["Standalone", "Cluster", "Sentinel"] = "Standalone"
    """How the servers work together."""
    secret_ref: SecretRef = Field(default_factory=lambda: SecretRef(name="feast-online"))
    """Secret with host, port and, where needed, username and password."""
    tls: bool = False
    """Speak TLS to the servers."""
    sentinel_master: Annotated[str, Field(max_length=63, pattern=SENTINEL_PATTERN)] = ""
    """Name of the group of servers that Sentinel watches; with mode Sentinel only."""
    key_ttl: Duration | None = None
    """Life of an entity's hash in Redis, all views together; left out: no limit. Each view's ttl is its own."""

    @model_validator(mode="after")
    def _sentinel_needs_a_name(self) -> Self:
        if (self.mode == "Sentinel") != bool(self.sentinel_master):
            raise wrong("has mode Sentinel without sentinelMaster, or the other way round", "write both or neither")
        return self


Host = Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_PATTERN, description="Name or address.")]


class CassandraOnlineStore(Model):
    """A Cassandra cluster, by Feast's own class."""

    hosts: Annotated[
        Items[Host],
        Field(min_length=1, max_length=16, json_schema_extra=kubernetes(list_type="set")),
        AfterValidator(distinct),
    ]
    """Servers to ask first; they name the others."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9042
    """Port of CQL, the same everywhere."""
    keyspace: Annotated[str, Field(min_length=1, max_length=48, pattern=KEYSPACE_PATTERN)]
    """Keyspace of the project's tables, and of no other project's. It must be there: whoever makes it decides about
    replication."""
    datacenter: Annotated[str, Field(min_length=1, max_length=48, pattern=DATACENTER_PATTERN)] = "datacenter1"
    """Datacenter whose servers are asked, as `nodetool status` prints it."""
    secret_ref: SecretRef = Field(default_factory=lambda: SecretRef(name="feast-online"))
    """Secret with username and password and, with tls, perhaps ca.crt."""
    tls: bool = False
    """Speak TLS to the servers."""


class OnlineStore(Model):
    """Where rows are served from."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "!has(self.cassandra) || !has(self.redis) ||"
                    " ((!has(self.redis.mode) || self.redis.mode == 'Standalone') &&"
                    " (!has(self.redis.tls) || !self.redis.tls) && !has(self.redis.keyTtl) &&"
                    " (!has(self.redis.secretRef) || self.redis.secretRef.name == 'feast-online'))",
                    "give one of redis and cassandra",
                ),
            ]
        )
    )

    redis: RedisOnlineStore = Field(default_factory=RedisOnlineStore)
    """Redis, in Feast's own layout."""
    cassandra: CassandraOnlineStore | None = None
    """Cassandra in place of Redis, written and read by Feast itself."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        # The API server fills in a `redis` of defaults beside a `cassandra`.
        if self.cassandra is not None and self.redis != RedisOnlineStore():
            raise wrong("has both redis and cassandra", "write one of them")
        return self

    @property
    def secret_ref(self) -> SecretRef:
        """The Secret with what the store is reached by."""
        return self.cassandra.secret_ref if self.cassandra else self.redis.secret_ref


def _root(location: str) -> str:
    if location != "." and any(part in {".", ".."} for part in location.split("/")):
        raise wrong(f"{shown(location)} has . or .. as a folder", "write the folder itself")
    if re.search(r"://[^/]*:[^/]*@", location):
        raise wrong("holds a password", "give credentials by secretRef")
    return location


class S3(Model):
    """Where an S3 store is, for the data root. Credentials are in the Secret of `offlineStore.secretRef`."""

    endpoint: Annotated[str, Field(max_length=253, pattern=ENDPOINT_PATTERN)] = ""
    """URL of the store, like https://minio.storage:9000; buckets stand in its path (path style). Left out: Amazon's."""
    region: Annotated[str, Field(max_length=63, pattern=REGION_PATTERN)] = ""
    """Region of the buckets. Left out: us-east-1 with an endpoint, else what Amazon says."""


class DataRoot(Model):
    """The folder below which every file source lies: a URI, or a volume mounted into the pods."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "has(self.uri) != has(self.persistentVolumeClaim)",
                    "give exactly one of uri and persistentVolumeClaim",
                ),
                rule(
                    "has(self.persistentVolumeClaim) == has(self.mountPath)",
                    "mountPath goes with persistentVolumeClaim",
                ),
                rule(
                    "!has(self.s3) || (has(self.uri) && self.uri.matches('^s3a?://'))",
                    "s3 goes with a uri like s3://lake/features",
                ),
            ]
        )
    )

    uri: Annotated[str, Field(min_length=1, max_length=512, pattern=ROOT_PATTERN), AfterValidator(_root)] | None = None
    """Object store or folder, like s3://lake/features or /data; `.` is the folder of the Feast repo itself."""
    persistent_volume_claim: KubernetesName | None = None
    """PersistentVolumeClaim that is mounted, read-only, into the pods that read sources."""
    mount_path: (
        Annotated[
            str,
            Field(min_length=2, max_length=256, pattern=MOUNT_PATTERN),
            AfterValidator(_root),
            AfterValidator(_mount),
        ]
        | None
    ) = None
    """Where the claim is mounted."""
    s3: S3 | None = None
    """Where the S3 store of the URI is, where it is not Amazon's or its region is to be told."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.uri is None) == (self.persistent_volume_claim is None):
            raise wrong("must have exactly one of uri and persistentVolumeClaim", "write one of them")
        if (self.persistent_volume_claim is None) != (self.mount_path is None):
            raise wrong("has persistentVolumeClaim without mountPath, or the other way round", "write both or neither")
        if self.s3 is not None and not self.is_s3:
            raise wrong("has s3 without a URI that begins with s3://", "write such a uri, or leave s3 out")
        return self

    @property
    def is_s3(self) -> bool:
        """Whether it lies in an S3 store."""
        return (self.uri or "").startswith(("s3://", "s3a://"))

    def join(self, path: str) -> str:
        """The location of a file source below this root, as Feast's data source holds it."""
        root = self.uri or self.mount_path or "."
        return path if root == "." else f"{root.rstrip('/')}/{path}"


class OfflineStore(Model):
    """Where history is read from."""

    type: Literal[
        "file",
        "dask",
        "duckdb",
        "postgres",
        "spark",
        "trino",
        "ray",
        "bigquery",
        "redshift",
        "snowflake.offline",
        "athena",
        "mssql",
        "clickhouse",
        "couchbase.offline",
        "oracle",
    ] = "file"
    """Feast's name of the offline store."""
    data_root: DataRoot | None = None
    """Root of the file sources; on a laptop, without one, the folder `data`."""
    secret_ref: SecretRef | None = None
    """Secret whose keys become environment variables of the pods that read sources."""
    options: Options = Field(default_factory=dict)
    """Options of Feast's for this offline store, without credentials; `$` is refused, for Feast would expand it."""


class Schedule(Model):
    """A CronJob that copies the rows of every view with this schedule to the online store."""

    cron: Cron
    """When: minute, hour, day of month, month, day of week."""
    window: Duration
    """How far back a run looks, unless a view says otherwise."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of the cron line, by its IANA name."""
    parallelism: Annotated[int, Field(ge=1, le=64)] = 1
    """Pods that share the views of one run."""


class Parity(Model):
    """A CronJob that compares what is served with what the sources say, by some entities of every view."""

    cron: Cron = "30 3 * * *"
    """When: minute, hour, day of month, month, day of week."""
    time_zone: TimeZone = "Etc/UTC"
    """Time zone of the cron line, by its IANA name."""
    sample: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Entities of each view that are compared, at most."""
    minimum_rate: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Share of entities that must be equal; below it the view's condition Consistent is False."""
    logged_differences: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many of each view's worst differences go to the pod's log, with entities and values, which may be
    personal."""


class BatchEngine(Model):
    """What does the copying."""

    type: Literal[
        "columnar", "local", "spark.engine", "ray.engine", "k8s", "lambda", "snowflake.engine", "flink.engine"
    ] = "columnar"
    """columnar is Featureplane's own; every other is Feast's engine of that name."""
    options: Options = Field(default_factory=dict)
    """Options of Feast's for this engine."""


# Kubernetes' quantities without their sign. A fraction needs quotes: a custom resource's schema knows int-or-string.
_QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
RESOURCE_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_LONGEST_QUANTITY = 64


def _quantity(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    text = isinstance(value, str) and len(value) <= _LONGEST_QUANTITY and re.fullmatch(_QUANTITY_PATTERN, value)
    if not whole and not text:
        raise wrong(f"{shown(value)} is not a quantity", "write one like 2, 500m or 1Gi, and a fraction in quotes")
    return value


Quantity = Annotated[
    str | int,
    BeforeValidator(_quantity),
    WithJsonSchema(
        {
            "description": "How much, like 2, 500m or 1Gi.",
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "minimum": 0,
            "maxLength": _LONGEST_QUANTITY,
            "pattern": _QUANTITY_PATTERN,
            **kubernetes(int_or_string=True),
        }
    ),
]
Quantities = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128, pattern=RESOURCE_PATTERN)], Quantity], Field(max_length=16)
]


class Resources(Model):
    """CPU and memory, as Kubernetes writes them."""

    requests: Quantities = Field(default_factory=dict)
    """What is set aside."""
    limits: Quantities = Field(default_factory=dict)
    """What is never exceeded."""


class Autoscaling(Model):
    """A HorizontalPodAutoscaler for the server."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[rule("self.minReplicas <= self.maxReplicas", "minReplicas is above maxReplicas")]
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 2
    """Fewest pods."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = 10
    """Most pods."""
    target_cpu_percent: Annotated[int, Field(ge=1, le=100)] = 70
    """CPU use, in percent of the request, that is aimed at."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise wrong("has minReplicas above maxReplicas", "raise maxReplicas or lower minReplicas")
        return self


class Port(Model):
    """A port of the server."""

    port: Annotated[int, Field(ge=1024, le=65535)]
    """Number of the port, 1024 or above: the pods run without privileges."""


class Switch(Model):
    """Something that is on or off."""

    enabled: bool = False
    """Whether it is on."""


class RemoteServer(Model):
    """A server of Feast's own."""

    enabled: bool = True
    """Whether it is on."""
    resources: Resources = Field(default_factory=Resources)
    """CPU and memory of its pod."""


class Runs(Model):
    """The pods that read sources: those that copy rows, and those that compare them."""

    resources: Resources = Field(default_factory=Resources)
    """CPU and memory of each pod."""


class Tls(Model):
    """TLS for the feature server."""

    secret_ref: SecretRef
    """Secret with tls.crt and tls.key, as cert-manager writes it."""


class Server(Model):
    """The feast-server Deployment."""

    replicas: Annotated[int, Field(ge=0, le=1000)] = 2
    """Pods, unless autoscaling decides."""
    autoscaling: Autoscaling | None = None
    """Let a HorizontalPodAutoscaler choose the number of pods."""
    resources: Resources = Field(default_factory=Resources)
    """CPU and memory of one pod."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Server processes in one pod."""
    http: Port = Field(default_factory=lambda: Port(port=8080))
    """HTTP."""
    grpc: Port = Field(default_factory=lambda: Port(port=6566))
    """gRPC."""
    writes: Switch = Field(default_factory=Switch)
    """Accept /push and /write-to-online-store."""
    sources: Switch = Field(default_factory=Switch)
    """Give these pods, too, what sources are read with, the volume and the offline store's Secret, so that Feast's own
    `materialize` works in them. They start only where the volume can be mounted."""
    auth: Auth = Field(default_factory=Auth)
    """Who may ask."""
    tls: Tls | None = None
    """Speak TLS, over HTTP and gRPC; left out: neither does. A renewed certificate is used without a restart."""
    expired_values: Literal["Status", "Null"] = "Status"
    """A value past its view's ttl that is still there: Status keeps the value and says OUTSIDE_MAX_AGE, Null takes the
    value away as well."""

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.http.port == self.grpc.port:
            refuse([(("grpc", "port"), f"{self.grpc.port} is the HTTP port as well", "choose another port")])
        return self


class FeastProjectSpec(Model):
    """One Feast project: its stores, schedules and servers."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "!(has(self.parity) && has(self.onlineStore) && has(self.onlineStore.cassandra))",
                    "parity compares what is in Redis; take it out where the online store is Cassandra",
                )
            ]
        )
    )

    project: Annotated[
        Name,
        Field(
            json_schema_extra=kubernetes(
                validations=[rule("self == oldSelf", "the project's name in Feast is immutable")]
            )
        ),
    ]
    """Name of the project in Feast. Immutable."""
    description: Description = ""
    """What the project is for; kept in Feast's registry."""
    owner: Owner = ""
    """Who answers for the project."""
    tags: Tags = Field(default_factory=dict)
    """Free labels, kept in Feast's registry."""
    allowed_namespaces: Annotated[
        Items[Annotated[Label, Field(description="Name of a namespace.")]],
        Field(max_length=256, json_schema_extra=kubernetes(list_type="set")),
        AfterValidator(distinct),
    ] = ()
    """Namespaces whose FeatureViews may refer to this project; its own always may."""
    registry: Registry = Field(default_factory=Registry)
    """Where definitions are kept."""
    online_store: OnlineStore = Field(default_factory=OnlineStore)
    """Where rows are served from."""
    offline_store: OfflineStore = Field(default_factory=OfflineStore)
    """Where history is read from."""
    schedules: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=40, pattern=DNS_LABEL_PATTERN)], Schedule],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra=kubernetes(
                validations=[
                    rule("!('never' in self)", "never means no schedule at all; choose another name"),
                    rule(
                        "!self.exists(name, name in ['manual', 'initial', 'purge'])",
                        "manual, initial and purge are words for runs without a schedule; choose another name",
                    ),
                ]
            ),
        ),
    ] = Field(
        default_factory=lambda: {
            "hourly": Schedule(cron="5 * * * *", window=timedelta(hours=2)),
            "daily": Schedule(cron="0 2 * * *", window=timedelta(days=7)),
        }
    )
    """The schedules that views choose from, by name. Left out: hourly (`5 * * * *`, the last 2h) and daily
    (`0 2 * * *`, the last 7d)."""
    batch_engine: BatchEngine = Field(default_factory=BatchEngine)
    """What copies the rows."""
    runs: Runs = Field(default_factory=Runs)
    """The pods of runs, and of checks of parity."""
    parity: Parity | None = None
    """Compare what is served with what the sources say, again and again; left out: nobody does."""
    server: Server = Field(default_factory=Server)
    """The feature server."""
    registry_server: RemoteServer = Field(default_factory=RemoteServer)
    """Feast's remote registry server, for notebooks without a database password."""
    offline_server: RemoteServer = Field(default_factory=RemoteServer)
    """Feast's remote offline server, for training data without access to the sources."""
    purge_after: Duration = timedelta(hours=24)
    """How long the online rows of a deleted view or feature are kept, in case it comes back."""
    pod_template: Annotated[
        dict[str, Any],
        Field(max_length=16),
        AfterValidator(_pod_template),
        WithJsonSchema({"type": "object", "maxProperties": 16, **kubernetes(preserve_unknown_fields=True)}),
    ] = Field(default_factory=dict)
    """A part of a pod template, merged into every pod of this project: labels, tolerations, a node selector."""

    @model_validator(mode="after")
    def _compares_in_redis(self) -> Self:
        if self.parity is not None and self.online_store.cassandra is not None:
            refuse([(("parity",), "compares what is in Redis, and the online store is Cassandra", "take it out")])
        return self


class FeastProject(Kind):
    """One Feast project: its stores, its schedules and its servers."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    f"self.metadata.name.matches('{CHILD_PATTERN}')",
                    "children are named after the project, Services among them; use lower-case letters, digits and -, "
                    "and start with a letter",
                ),
                rule(
                    "!has(self.spec.schedules) || self.spec.schedules.all("
                    f"name, size(self.metadata.name) + {len('-materialize-')} + size(name) <= {_LONGEST_CHILD})",
                    f"a CronJob <project>-materialize-<schedule> has at most {_LONGEST_CHILD} characters; "
                    "shorten the project's or the schedule's name",
                ),
            ]
        )
    )

    spec: FeastProjectSpec

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.metadata.namespace, self.metadata.name

    def allows(self, namespace: str) -> bool:
        """Whether an object in `namespace` may refer to this project."""
        return namespace == self.metadata.namespace or namespace in self.spec.allowed_namespaces

    @model_validator(mode="after")
    def _names_of_children_fit(self) -> Self:
        refuse([*self._name_problems(), *self._schedule_problems()])
        return self

    def _name_problems(self) -> Iterator[Found]:
        if not re.fullmatch(CHILD_PATTERN, self.metadata.name):
            remedy = "use lower-case letters, digits and -, and start with a letter"
            yield ("metadata", "name"), f"{shown(self.metadata.name)} cannot be the name of a Service", remedy

    def _schedule_problems(self) -> Iterator[Found]:
        for schedule in self.spec.schedules:
            path = ("spec", "schedules", schedule)
            if schedule == "never":
                yield path, "is the word for no schedule at all", "choose another name"
            if schedule in _RUNS_WITHOUT_SCHEDULE:
                yield path, "is the word for runs without a schedule", "choose another name"
            if len(child := f"{self.metadata.name}-materialize-{schedule}") > _LONGEST_CHILD:
                message = f"makes the CronJob name {shown(child)}, longer than {_LONGEST_CHILD} characters"
                yield path, message, "shorten the project's or the schedule's name"


def default_project(namespace: str) -> FeastProject:
    """The project that is assumed on a laptop when the files hold none: `feast`, every field at its default."""
    metadata = {"name": names.DEFAULT_PROJECT, "namespace": namespace}
    return FeastProject.model_validate({"metadata": metadata, "spec": {"project": "feast"}})
