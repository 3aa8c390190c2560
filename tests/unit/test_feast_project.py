from datetime import timedelta

import pytest

from factories import a_project, problems_in
from featureplane.model.feast_project import FeastProject, default_project


def test_only_the_name_in_feast_is_required():
    spec = FeastProject.model_validate(a_project()).spec
    assert problems_in(a_project()) == []
    assert {name: schedule.cron for name, schedule in spec.schedules.items()} == {
        "hourly": "5 * * * *",
        "daily": "0 2 * * *",
    }
    assert spec.purge_after == timedelta(hours=24)
    assert (spec.server.http.port, spec.server.grpc.port, spec.server.writes.enabled) == (8080, 6566, False)
    assert (spec.offline_store.type, spec.batch_engine.type) == ("file", "columnar")


def test_the_project_of_a_laptop():
    project = default_project("lake")
    assert project.key == ("lake", "feast")
    assert project.spec.project == "feast"


@pytest.mark.parametrize(("namespace", "allowed"), [("default", True), ("lake", True), ("other", False)])
def test_its_own_and_listed_namespaces_may_refer_to_it(namespace, allowed):
    assert FeastProject.model_validate(a_project(allowedNamespaces=["lake"])).allows(namespace) is allowed


def test_everything_set():
    spec = {
        "description": "d",
        "owner": "o",
        "tags": {"a": "b"},
        "allowedNamespaces": ["a", "b"],
        "registry": {
            "postgresql": {"secretRef": {"name": "s"}, "createDatabase": False},
            "trustUserDefinedFunctions": True,
        },
        "onlineStore": {
            "redis": {
                "mode": "Sentinel",
                "sentinelMaster": "main",
                "tls": True,
                "keyTtl": "30d",
                "secretRef": {"name": "s"},
            },
        },
        "offlineStore": {
            "type": "duckdb",
            "dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/data"},
            "secretRef": {"name": "s"},
            "options": {"staging_location": "s3://x"},
        },
        "schedules": {"q": {"cron": "0 0 1 */3 *", "window": "90d", "timeZone": "Europe/Berlin", "parallelism": 4}},
        "batchEngine": {"type": "spark.engine", "options": {"partitions": 8}},
        "server": {
            "replicas": 3,
            "autoscaling": {"minReplicas": 1, "maxReplicas": 5, "targetCpuPercent": 50},
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": 1}, "limits": {"cpu": "1.5"}},
            "workers": 2,
            "http": {"port": 8000},
            "grpc": {"port": 9000},
            "writes": {"enabled": True},
            "auth": {
                "type": "oidc",
                "oidc": {
                    "issuer": "https://idp.example.com/realms/ml",
                    "audience": "feast",
                    "discoveryUrl": "https://idp/.well-known/openid-configuration?v=2",
                    "caFile": "/etc/idp/ca.crt",
                    "clientId": "feast",
                    "rolesClaim": "https://example.com/roles",
                    "readers": ["r"],
                    "writers": ["w"],
                },
                "options": {"jwks_cache_lifespan_seconds": 60},
            },
            "tls": {"secretRef": {"name": "s"}},
            "expiredValues": "Null",
        },
        "registryServer": {"enabled": False, "resources": {"requests": {"cpu": "50m"}}},
        "offlineServer": {"enabled": False, "resources": {"limits": {"memory": "8Gi"}}},
        "runs": {"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "16Gi"}}},
        "purgeAfter": "1d12h",
        "podTemplate": {"spec": {"tolerations": [{"operator": "Exists"}]}},
    }
    assert problems_in(a_project(**spec)) == []


@pytest.mark.parametrize(
    "root",
    [
        {"uri": "s3://lake/features"},
        {"uri": "s3://lake/features", "s3": {"endpoint": "https://minio.storage:9000", "region": "eu-central-1"}},
        {"uri": "s3a://lake", "s3": {"endpoint": "http://[::1]:9000/"}},
        {"uri": "gs://a/b"},
        {"uri": "abfss://c@account.dfs.core.windows.net/x"},
        {"uri": "hdfs://n:8020/x"},
        {"uri": "/data"},
        {"uri": "."},
        {"uri": "file:///data"},
        {"persistentVolumeClaim": "lake", "mountPath": "/data"},
    ],
)
def test_a_data_root(root):
    assert problems_in(a_project(offlineStore={"dataRoot": root})) == []


@pytest.mark.parametrize(
    ("root", "path", "location"),
    [
        ({"uri": "s3://lake/features"}, "a.parquet", "s3://lake/features/a.parquet"),
        ({"uri": "s3://lake/features/"}, "a.parquet", "s3://lake/features/a.parquet"),
        ({"uri": "/"}, "a.parquet", "/a.parquet"),
        ({"uri": "."}, "a.parquet", "a.parquet"),
        ({"persistentVolumeClaim": "lake", "mountPath": "/data"}, "a/", "/data/a/"),
    ],
)
def test_a_source_lies_below_the_data_root(root, path, location):
    project = FeastProject.model_validate(a_project(offlineStore={"dataRoot": root}))
    assert project.spec.offline_store.data_root.join(path) == location


URI = "write a URI like s3://lake/features, or an absolute path like /data"
ONE = "must have exactly one of uri and persistentVolumeClaim; write one of them"
ENDPOINT = "write a URL without user and password, like https://minio.storage:9000"
PAIR = "has persistentVolumeClaim without mountPath, or the other way round; write both or neither"


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ({"uri": "$HOME"}, f".uri: '$HOME' is not allowed here; {URI}"),
        ({"uri": "data"}, f".uri: 'data' is not allowed here; {URI}"),
        ({"uri": "http://x"}, f".uri: 'http://x' is not allowed here; {URI}"),
        ({"uri": "s3://x y"}, f".uri: 's3://x y' is not allowed here; {URI}"),
        ({"uri": "s3://x/../../y"}, ".uri: 's3://x/../../y' has . or .. as a folder; write the folder itself"),
        ({"uri": "/a/./b"}, ".uri: '/a/./b' has . or .. as a folder; write the folder itself"),
        ({"uri": "s3://key:secret@host/x"}, ".uri: holds a password; give credentials by secretRef"),
        ({"uri": ""}, ".uri: is empty; write something, or leave it out"),
        ({}, f": {ONE}"),
        ({"uri": "/a", "persistentVolumeClaim": "x", "mountPath": "/x"}, f": {ONE}"),
        ({"mountPath": "/data"}, f": {ONE}"),
        ({"persistentVolumeClaim": "x"}, f": {PAIR}"),
        ({"uri": "/a", "mountPath": "/data"}, f": {PAIR}"),
        (
            {"uri": "gs://a", "s3": {"region": "eu-central-1"}},
            ": has s3 without a URI that begins with s3://; write such a uri, or leave s3 out",
        ),
        (
            {"uri": "s3://a", "s3": {"endpoint": "https://key:secret@minio"}},
            f".s3.endpoint: 'https://key:secret@minio' is not allowed here; {ENDPOINT}",
        ),
        (
            {"uri": "s3://a", "s3": {"endpoint": "minio:9000"}},
            f".s3.endpoint: 'minio:9000' is not allowed here; {ENDPOINT}",
        ),
        (
            {"uri": "s3://a", "s3": {"region": "EU"}},
            ".s3.region: 'EU' is not allowed here; write the name of a region, like eu-central-1",
        ),
        (
            {"persistentVolumeClaim": "x", "mountPath": "/.."},
            ".mountPath: '/..' has . or .. as a folder; write the folder itself",
        ),
        (
            {"persistentVolumeClaim": "x", "mountPath": "data"},
            ".mountPath: 'data' is not allowed here; write an absolute path like /data",
        ),
    ],
)
def test_other_data_roots_are_refused(root, problem):
    assert problems_in(a_project(offlineStore={"dataRoot": root})) == [f"spec.offlineStore.dataRoot{problem}"]


def test_a_project_has_one_online_store():
    cassandra = {"hosts": ["c"], "keyspace": "k"}
    assert problems_in(a_project(onlineStore={"cassandra": cassandra})) == []
    both = a_project(onlineStore={"cassandra": cassandra, "redis": {"tls": True}})
    assert problems_in(both) == ["spec.onlineStore: has both redis and cassandra; write one of them"]


def test_what_is_in_cassandra_is_not_compared():
    project = a_project(onlineStore={"cassandra": {"hosts": ["c"], "keyspace": "k"}}, parity={})
    assert problems_in(project) == [
        "spec.parity: compares what is in Redis, and the online store is Cassandra; take it out"
    ]
    assert problems_in(a_project(parity={})) == []


SENTINEL = "has mode Sentinel without sentinelMaster, or the other way round; write both or neither"


@pytest.mark.parametrize(
    ("redis", "problem"),
    [
        ({"mode": "Sentinel"}, f": {SENTINEL}"),
        ({"sentinelMaster": "m"}, f": {SENTINEL}"),
        (
            {"mode": "Sentinel", "sentinelMaster": "a b"},
            ".sentinelMaster: 'a b' is not allowed here; use letters, digits, ., _ and -",
        ),
        (
            {"mode": "sentinel", "sentinelMaster": "m"},
            ".mode: 'sentinel' is not allowed here; write Standalone, Cluster or Sentinel",
        ),
        ({"keyTtl": 60}, ".keyTtl: must be a duration, not 60; write a number with its unit, like 90m, 2d or 1h30m"),
        (
            {"password": "x"},
            ".password: is not a field; remove it; the fields here are mode, secretRef, tls, sentinelMaster, keyTtl",
        ),
        ({"secretRef": "x"}, ".secretRef: must be a mapping, not 'x'; write its fields below it, indented"),
    ],
)
def test_other_online_stores_are_refused(redis, problem):
    assert problems_in(a_project(onlineStore={"redis": redis})) == [f"spec.onlineStore.redis{problem}"]


QUANTITY = "is not a quantity; write one like 2, 500m or 1Gi, and a fraction in quotes"


OIDC = {"issuer": "https://idp.example.com", "audience": "feast"}


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ({"http": {"port": 80}}, "http.port: 80 is too small; write at least 1024"),
        ({"http": {"port": 65536}}, "http.port: 65536 is too large; write at most 65535"),
        ({"http": {"port": 10**30}}, f"http.port: {10**30} is too large; write at most 65535"),
        (
            {"http": {"port": "8080"}},
            "http.port: must be a whole number, not '8080'; write a whole number, without quotes",
        ),
        (
            {"http": {"port": 8080.5}},
            "http.port: must be a whole number, not 8080.5; write a whole number, without quotes",
        ),
        ({"http": {"port": 6566}}, "grpc.port: 6566 is the HTTP port as well; choose another port"),
        (
            {"autoscaling": {"minReplicas": 11}},
            "autoscaling: has minReplicas above maxReplicas; raise maxReplicas or lower minReplicas",
        ),
        ({"resources": {"limits": {"cpu": "lots"}}}, f"resources.limits.cpu: 'lots' {QUANTITY}"),
        ({"resources": {"limits": {"cpu": 0.5}}}, f"resources.limits.cpu: 0.5 {QUANTITY}"),
        ({"resources": {"limits": {"cpu": True}}}, f"resources.limits.cpu: true {QUANTITY}"),
        ({"resources": {"limits": {"cpu": -1}}}, f"resources.limits.cpu: -1 {QUANTITY}"),
        ({"resources": {"limits": {"cpu": "1" * 65}}}, f"resources.limits.cpu: '{'1' * 56}... {QUANTITY}"),
        (
            {"resources": {"limits": {"c p u": 1}}},
            (
                "resources.limits['c p u']: 'c p u' is not allowed here; "
                "write the name of a resource, like cpu, memory or nvidia.com/gpu"
            ),
        ),
        ({"expiredValues": "null"}, "expiredValues: 'null' is not allowed here; write Status or Null"),
        ({"auth": {"type": "no_auth"}}, "auth.type: 'no_auth' is not allowed here; write none, kubernetes or oidc"),
        (
            {"auth": {"type": "oidc"}},
            "auth.oidc: is missing; say which issuer's tokens are taken: issuer and audience",
        ),
        (
            {"auth": {"oidc": OIDC}},
            "auth.oidc: goes with type oidc, not none; write type: oidc, or leave it out",
        ),
        (
            {"auth": {"type": "none", "kubernetes": {}}},
            "auth.kubernetes: goes with type kubernetes, not none; write type: kubernetes, or leave it out",
        ),
        (
            {"auth": {"type": "oidc", "oidc": OIDC, "options": {"issuer": "https://idp"}}},
            "auth.options.issuer: 'issuer' has a field of its own; write oidc.issuer",
        ),
        (
            {"auth": {"type": "oidc", "oidc": OIDC | {"issuer": "http://idp.example.com"}}},
            (
                "auth.oidc.issuer: 'http://idp.example.com' is not allowed here; "
                "write a URL that begins with https://, without a password"
            ),
        ),
        (
            {"auth": {"type": "oidc", "oidc": OIDC | {"audience": "a b"}}},
            (
                "auth.oidc.audience: 'a b' is not allowed here; "
                "write one word of ASCII letters, digits and ._~:/%+,;=&()!*?@|-"
            ),
        ),
        (
            {"auth": {"type": "kubernetes", "kubernetes": {"audiences": ["a", "a"]}}},
            "auth.kubernetes.audiences[1]: 'a' stands here a second time, after [0]; keep one of them",
        ),
        (
            {"tls": {}},
            "tls.secretRef: is missing; add secretRef: Secret with tls.crt and tls.key, as cert-manager writes it.",
        ),
    ],
)
def test_other_servers_are_refused(server, problem):
    assert problems_in(a_project(server=server)) == [f"spec.server.{problem}"]


HOURLY = {"cron": "5 * * * *", "window": "2h"}
LABEL = "use lower-case letters, digits and -, with a letter or digit at both ends"


@pytest.mark.parametrize(
    ("schedules", "problems"),
    [
        ({}, [": is empty; write at least one"]),
        (
            [HOURLY],
            [": must be a mapping, not [{'cron': '5 * * * *', 'window': '2h'}]; write its fields below it, indented"],
        ),
        ({"Hourly": HOURLY}, [f".Hourly: 'Hourly' is not allowed here; {LABEL}"]),
        ({"never": HOURLY}, [".never: is the word for no schedule at all; choose another name"]),
        ({"manual": HOURLY}, [".manual: is the word for runs without a schedule; choose another name"]),
        ({"initial": HOURLY}, [".initial: is the word for runs without a schedule; choose another name"]),
        ({"purge": HOURLY}, [".purge: is the word for runs without a schedule; choose another name"]),
        (
            {"a": {}},
            [
                ".a.cron: is missing; add cron: When: minute, hour, day of month, month, day of week.",
                ".a.window: is missing; add window: How far back a run looks, unless a view says otherwise.",
            ],
        ),
        ({"a": {**HOURLY, "parallelism": 0}}, [".a.parallelism: 0 is too small; write at least 1"]),
        ({"a": {**HOURLY, "timezone": "Etc/UTC"}}, [".a.timezone: is not a field; did you mean timeZone?"]),
        ({f"s{i}": HOURLY for i in range(17)}, [": is longer than 16 entries; shorten it"]),
    ],
)
def test_other_schedules_are_refused(schedules, problems):
    assert problems_in(a_project(schedules=schedules)) == [f"spec.schedules{problem}" for problem in problems]


def test_the_names_of_cron_jobs_must_fit_into_a_label():
    schedules = {"short": HOURLY, "quite-long": HOURLY}
    assert problems_in(a_project("x" * 30, schedules=schedules)) == [
        (
            f"spec.schedules.quite-long: makes the CronJob name '{'x' * 30}-materialize-quite-long', "
            "longer than 52 characters; shorten the project's or the schedule's name"
        )
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"project": None}, "project: is missing; add project: Name of the project in Feast. Immutable."),
        ({"allowedNamespaces": ["a", "*"]}, f"allowedNamespaces[1]: '*' is not allowed here; {LABEL}"),
        (
            {"allowedNamespaces": ["a", "a"]},
            "allowedNamespaces[1]: 'a' stands here a second time, after [0]; keep one of them",
        ),
        ({"purgeAfter": "0h"}, "purgeAfter: '0h' is no time at all; write at least 1s, or leave the field out"),
        (
            {"batchEngine": {"type": "spark"}},
            (
                "batchEngine.type: 'spark' is not allowed here; write columnar, local, spark.engine, "
                "ray.engine, k8s, lambda, snowflake.engine or flink.engine"
            ),
        ),
        ({"podTemplate": []}, "podTemplate: must be a mapping, not []; write its fields below it, indented"),
        ({"podTemplate": {"spec": []}}, "podTemplate.spec: must be a mapping; write its fields below it, indented"),
        (
            {"podTemplate": {"tolerations": {}}},
            "podTemplate.tolerations: is no part of a pod template; write metadata or spec",
        ),
        (
            {"offlineStore": {"dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/tmp"}}},
            (
                "offlineStore.dataRoot.mountPath: '/tmp' lies where the pods have files of their own; choose another "
                "one, like /data"
            ),
        ),
        ({"schedule": {}}, "schedule: is not a field; did you mean schedules?"),
        ({"replicas": 3}, "replicas: is not a field; did you mean server.replicas?"),
    ],
)
def test_other_projects_are_refused(changes, problem):
    assert problems_in(a_project(**changes)) == [f"spec.{problem}"]


@pytest.mark.parametrize("name", ["254carbon", "feast.prod"])
def test_a_project_s_services_need_a_name_that_dns_takes(name):
    remedy = "use lower-case letters, digits and -, and start with a letter"
    assert problems_in(a_project(name)) == [f"metadata.name: '{name}' cannot be the name of a Service; {remedy}"]


@pytest.mark.parametrize(
    ("oidc", "url"),
    [
        ({"issuer": "https://idp/realms/ml"}, "https://idp/realms/ml/.well-known/openid-configuration"),
        ({"issuer": "https://tenant.example.com/"}, "https://tenant.example.com/.well-known/openid-configuration"),
        ({"issuer": "https://idp", "discoveryUrl": "https://inside/conf"}, "https://inside/conf"),
    ],
)
def test_where_an_issuer_describes_itself(oidc, url):
    auth = {"type": "oidc", "oidc": OIDC | oidc}
    assert FeastProject.model_validate(a_project(server={"auth": auth})).spec.server.auth.oidc.discovery == url
