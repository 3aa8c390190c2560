import pytest

from unit.manifests.contexts import a_context, container, facts, one, templates


def server(**changes):
    return one(a_context(**changes), "Deployment", "feast-server")["spec"]


def test_the_feature_server():
    spec = server(server={"http": {"port": 1234}})
    ours = container(spec["template"])
    assert ours["command"] == ["featureplane"]
    assert ours["args"] == [
        "serve", "--registered", "--grpc-port", "6566", "--host", "0.0.0.0", "--port", "1234",
        "/etc/featureplane/project.yaml",
    ]  # fmt: skip
    assert {item["name"]: item["containerPort"] for item in ours["ports"]} == {"http": 1234, "grpc": 6566}
    assert ours["image"] == "featureplane:1"
    assert ours["workingDir"] == "/feast/feature_repo"


@pytest.mark.parametrize(
    ("name", "command", "port", "probe"),
    [
        ("registry", "registry-server", "6570", {"grpc": {"port": 6570}}),
        ("offline", "offline-server", "8815", {"tcpSocket": {"port": "flight"}}),
    ],
)
def test_feasts_remote_servers(name, command, port, probe):
    ours = container(dict(templates(a_context()))[name])
    assert ours["args"] == [command, "--host", "0.0.0.0", "--port", port, "/etc/featureplane/project.yaml"]
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ours[kind].items() >= probe.items()


def test_a_repo_is_written_before_feast_looks_for_it():
    for _, pod in templates(a_context()):
        (init,) = pod["spec"]["initContainers"]
        words = "featureplane render --registered --out /feast/feature_repo /etc/featureplane/project.yaml"
        assert init["command"] + init["args"] == words.split()
        volumes = {item["name"]: item for item in pod["spec"]["volumes"]}
        mounts = {item["mountPath"]: item["name"] for item in init["volumeMounts"]}
        assert volumes[mounts["/feast/feature_repo"]]["emptyDir"] == {}


@pytest.mark.parametrize(
    ("own", "replicas"), [({}, 2), ({"replicas": 0}, 0), ({"replicas": 5}, 5), ({"autoscaling": {}}, None)]
)
def test_an_autoscaler_decides_on_the_number_of_pods_alone(own, replicas):
    assert server(server=own).get("replicas") == replicas


@pytest.mark.parametrize("name", ["feast-registry", "feast-offline"])
def test_whoever_scales_a_remote_server_is_not_undone(name):
    assert "replicas" not in one(a_context(), "Deployment", name)["spec"]


def test_no_request_meets_a_pod_that_goes():
    spec = server()
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    sleep = container(spec["template"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < sleep < spec["template"]["spec"]["terminationGracePeriodSeconds"]


def test_a_start_may_take_as_long_as_a_registry_takes_to_come():
    probe = container(server()["template"])["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


@pytest.mark.parametrize(
    ("own", "requests", "limits"),
    [
        ({}, {"cpu": "250m", "memory": "512Mi"}, {"cpu": "2", "memory": "2Gi"}),
        ({"workers": 4}, {"cpu": "250m", "memory": "1280Mi"}, {"cpu": "2", "memory": "5Gi"}),
        ({"resources": {"requests": {"memory": "8Gi"}}}, {"cpu": "250m", "memory": "8Gi"}, {"cpu": "2"}),
        ({"resources": {"limits": {"cpu": "100m"}}}, {"memory": "512Mi"}, {"cpu": "100m", "memory": "2Gi"}),
        (
            {"resources": {"limits": {"nvidia.com/gpu": 1}}},
            {"cpu": "250m", "memory": "512Mi"},
            {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": 1},
        ),
    ],
)
def test_a_resource_that_the_project_names_is_the_projects_alone(own, requests, limits):
    assert container(server(server=own)["template"])["resources"] == {"requests": requests, "limits": limits}


@pytest.mark.parametrize(("field", "name"), [("registryServer", "feast-registry"), ("offlineServer", "feast-offline")])
def test_a_server_of_feasts_takes_what_the_project_says(field, name):
    own = {"requests": {"cpu": "50m"}, "limits": {"memory": "3Gi"}}
    pod = one(a_context(**{field: {"resources": own}}), "Deployment", name)["spec"]["template"]
    assert container(pod)["resources"] == own


def test_every_container_has_requests_and_limits():
    for _, pod in templates(a_context()):
        for item in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
            assert item["resources"]["requests"].keys() == item["resources"]["limits"].keys() == {"cpu", "memory"}


def digests(**changes):
    found = dict(templates(a_context(**changes)))
    return [
        found[name]["metadata"]["annotations"]["featureplane.dev/config"] for name in ("server", "registry", "offline")
    ]


SECRETS = {"feast-registry": facts(), "feast-online": facts({"host", "port", "password"})}
S3 = {"secretRef": {"name": "s3"}}
LAKE = {"dataRoot": {"uri": "s3://lake"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "d", "owner": "o", "tags": {"a": "b"}},
        {"schedules": {"h": {"cron": "5 * * * *", "window": "2h"}}},
        {"purgeAfter": "1h"},
        {"allowedNamespaces": ["a"]},
        {"server": {"replicas": 7}},
        {"server": {"autoscaling": {}}},
        {"registry": {"postgresql": {"createDatabase": False}}},
        {"secrets": {**SECRETS, "another": facts()}},
        {"secrets": {**SECRETS, "server-tls": facts({"tls.crt", "tls.key"}, version="2")}},
        {"metadata": {"annotations": {"featureplane.dev/reconcile-at": "now"}, "generation": 3}},
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_no_server_reads_restarts_none(changes):
    assert digests(**changes) == digests()


@pytest.mark.parametrize(
    ("changes", "restarted"),
    [
        ({"image": "featureplane:2"}, [True, True, True]),
        ({"project": "other"}, [True, True, True]),
        ({"secrets": {**SECRETS, "feast-registry": facts(version="2")}}, [True, True, True]),
        ({"secrets": {**SECRETS, "feast-online": facts(version="2")}}, [True, True, True]),
        ({"secrets": {}}, [True, True, True]),
        ({"registry": {"trustUserDefinedFunctions": True}}, [True, True, True]),
        ({"onlineStore": {"redis": {"tls": True}}}, [True, True, True]),
        ({"offlineStore": LAKE}, [True, True, True]),
        ({"offlineStore": {"type": "duckdb"}}, [True, True, True]),
        ({"server": {"workers": 2}}, [True, False, False]),
        ({"server": {"expiredValues": "Null"}}, [True, False, False]),
        ({"server": {"writes": {"enabled": True}}}, [True, False, False]),
        ({"server": {"sources": {"enabled": True}}}, [True, False, False]),
        ({"server": {"auth": {"type": "kubernetes"}}}, [True, True, True]),
        (
            {"server": {"auth": {"type": "oidc", "oidc": {"issuer": "https://idp", "audience": "a"}}}},
            [True, True, True],
        ),
        ({"server": {"tls": {"secretRef": {"name": "a"}}}}, [True, False, False]),
        ({"offlineStore": S3, "secrets": {**SECRETS, "s3": facts(version="2")}}, [False, False, True]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_a_server_reads_at_its_start_restarts_it(changes, restarted):
    before = digests(offlineStore=S3, secrets={**SECRETS, "s3": facts()}) if "s3" in str(changes) else digests()
    assert [old != new for old, new in zip(before, digests(**changes), strict=True)] == restarted


def mounts(of):
    return {item["mountPath"]: item["name"] for item in of["volumeMounts"]}


TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def test_only_a_server_that_asks_kubernetes_who_calls_has_a_token():
    def tokens(**changes):
        found = {name: pod for name, pod in templates(a_context(**changes)) if TOKEN_FOLDER in mounts(container(pod))}
        assert all(not pod["spec"]["automountServiceAccountToken"] for _, pod in templates(a_context(**changes)))
        assert all(TOKEN_FOLDER not in mounts(item) for pod in found.values() for item in pod["spec"]["initContainers"])
        return found.keys()

    assert tokens() == set()
    assert tokens(server={"auth": OIDC}) == set()
    assert tokens(server={"auth": {"type": "kubernetes"}}) == {"server", "registry", "offline"}


OIDC = {"type": "oidc", "oidc": {"issuer": "https://idp", "audience": "feast"}}
TLS = {"tls": {"secretRef": {"name": "server-tls"}}}


def test_a_token_is_the_kubelets_to_replace():
    pod = dict(templates(a_context(server={"auth": {"type": "kubernetes"}})))["server"]["spec"]
    (volume,) = [item for item in pod["volumes"] if item["name"] == "token"]
    paths = [path for source in volume["projected"]["sources"] for path in _paths(source)]
    assert sorted(paths) == ["ca.crt", "namespace", "token"]


def _paths(source):
    (kind, found) = next(iter(source.items()))
    return [found["path"]] if kind == "serviceAccountToken" else [item["path"] for item in found["items"]]


def test_a_certificate_is_a_folder_that_can_be_renewed():
    spec = server(server=TLS)["template"]["spec"]
    ours = container({"spec": spec})
    arguments = ours["args"]
    certificate, key = arguments[arguments.index("--tls-cert") + 1], arguments[arguments.index("--tls-key") + 1]
    assert (certificate, key) == ("/etc/featureplane-tls/tls.crt", "/etc/featureplane-tls/tls.key")
    (mount,) = [item for item in ours["volumeMounts"] if item["mountPath"] == "/etc/featureplane-tls"]
    assert "subPath" not in mount
    (volume,) = [item for item in spec["volumes"] if item["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == "server-tls"
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ours[kind]["httpGet"] == {"path": "/health", "port": "http", "scheme": "HTTPS"}


def test_probes_ask_nothing_of_the_stores():
    """A pod that cannot reach Redis says so in its answers: with all of them taken out, nobody would."""
    ours = container(server()["template"])
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ours[kind]["httpGet"] == {"path": "/health", "port": "http"}


def test_only_the_feature_server_shows_a_certificate():
    shown = {
        name for name, pod in templates(a_context(server=TLS)) if "/etc/featureplane-tls" in mounts(container(pod))
    }
    assert shown == {"server"}
