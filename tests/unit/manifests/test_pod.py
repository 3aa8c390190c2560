import pytest

from featureplane.manifests.merging import merge
from unit.manifests.contexts import a_context, container, environment, templates

LAKE = {"dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/data"}, "secretRef": {"name": "s3"}}
OBJECTS = ("AWS_", "FEATUREPLANE_OFFLINE_SECRET")
IN_MINIO = {
    "AWS_ENDPOINT_URL": "http://minio.storage:9000",
    "AWS_ENDPOINT_URL_S3": "http://minio.storage:9000",
    "AWS_ALLOW_HTTP": "true",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "FEATUREPLANE_OFFLINE_SECRET": "s3",
}
READERS = {"offline", "materialize-hourly", "materialize-daily", "initial"}


def pods(**changes):
    return dict(templates(a_context(**changes)))


def with_template(**template):
    return pods(podTemplate=template)


def test_sources_are_mounted_read_only_where_they_are_read():
    for name, pod in pods(offlineStore=LAKE).items():
        mounts = [item for item in container(pod)["volumeMounts"] if item["name"] == "data"]
        assert mounts == ([{"name": "data", "mountPath": "/data", "readOnly": True}] if name in READERS else [])
        volumes = [item["persistentVolumeClaim"] for item in pod["spec"]["volumes"] if item["name"] == "data"]
        assert volumes == ([{"claimName": "lake", "readOnly": True}] if name in READERS else [])


def test_the_feature_server_reads_sources_where_the_project_says_so():
    """For Feast's own commands in its pods; they keep the account that may ask who a client is."""
    reading, without = (
        pods(offlineStore=LAKE, server={"sources": {"enabled": on}, "auth": {"type": "kubernetes"}})["server"]
        for on in (True, False)
    )
    offline = pods(offlineStore=LAKE)["offline"]
    mounts = [item for item in container(reading)["volumeMounts"] if item["name"] == "data"]
    assert mounts == [item for item in container(offline)["volumeMounts"] if item["name"] == "data"] != []
    assert container(reading)["envFrom"] == container(offline)["envFrom"]
    assert reading["spec"]["serviceAccountName"] == without["spec"]["serviceAccountName"] == "feast-server"
    assert "envFrom" not in container(without)


def test_the_offline_stores_secret_goes_where_sources_are_read():
    for name, pod in pods(offlineStore=LAKE).items():
        found = container(pod).get("envFrom")
        assert found == ([{"secretRef": {"name": "s3"}}] if name in READERS else None)


def test_what_reads_sources_is_told_where_the_object_store_is():
    root = {"uri": "s3://lake/features", "s3": {"endpoint": "http://minio.storage:9000/"}}
    for name, pod in pods(offlineStore={"dataRoot": root, "secretRef": {"name": "s3"}}).items():
        found = {key: value for key, value in environment(pod).items() if key.startswith(OBJECTS)}
        assert found == (IN_MINIO if name in READERS else {})


def test_amazons_store_is_found_without_a_word():
    pod = pods(offlineStore={"dataRoot": {"uri": "s3://lake/features"}})["offline"]
    assert not [name for name in environment(pod) if name.startswith(OBJECTS)]


def test_what_reads_sources_has_the_account_that_may():
    accounts = {name: pod["spec"]["serviceAccountName"] for name, pod in pods().items()}
    assert {name for name, account in accounts.items() if account == "feast-materialize"} == READERS | {"purge"}
    assert {name for name, account in accounts.items() if account == "feast-server"} == {"server", "registry"}


def test_users_find_pods_by_short_labels():
    found = {name: pod["metadata"]["labels"] for name, pod in pods().items()}
    for name in ("server", "registry", "offline"):
        assert found[name]["app"] == f"feast-{name}"
    for name in ("initial", "purge", "materialize-hourly"):
        assert found[name].items() >= {("app", "feast"), ("component", "materialization-job")}


def test_services_of_the_namespace_put_nothing_into_the_environment():
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods().values())


def test_a_pull_secret_is_named_by_every_pod():
    for pod in pods(image_pull_secrets=("a", "b")).values():
        assert pod["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_a_platform_adds_to_every_pod():
    added = with_template(
        metadata={"labels": {"team": "ml"}, "annotations": {"a": "b"}},
        spec={"tolerations": [{"operator": "Exists"}], "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high"},
    )
    for name, before in pods().items():
        pod = added[name]
        assert pod["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "ml"}
        assert pod["metadata"]["annotations"].items() > before["metadata"]["annotations"].items()
        assert pod["spec"] == {
            **before["spec"],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"disk": "ssd"},
            "priorityClassName": "high",
        }


def test_a_platform_reaches_our_container_by_its_name():
    own = {"name": "featureplane", "env": [{"name": "HTTPS_PROXY", "value": "http://p"}], "image": "own:1"}
    pod = with_template(spec={"containers": [own, {"name": "proxy", "image": "p"}]})["server"]
    assert [item["name"] for item in pod["spec"]["containers"]] == ["featureplane", "proxy"]
    assert environment(pod)["HTTPS_PROXY"] == "http://p"
    assert environment(pod)["PGHOST"] == "feast-registry/host"
    assert container(pod)["image"] == "own:1"
    assert container(pod)["readinessProbe"]


def test_a_platforms_environment_stands_beside_the_offline_stores():
    own = {"name": "featureplane", "envFrom": [{"configMapRef": {"name": "proxy"}}]}
    pod = pods(offlineStore=LAKE, podTemplate={"spec": {"containers": [own]}})["offline"]
    assert container(pod)["envFrom"] == [{"secretRef": {"name": "s3"}}, {"configMapRef": {"name": "proxy"}}]


def test_a_platform_may_decide_against_our_hardening():
    pod = with_template(spec={"securityContext": {"runAsUser": None, "fsGroup": 7}})["server"]
    assert "runAsUser" not in pod["spec"]["securityContext"]
    assert pod["spec"]["securityContext"].items() >= {("fsGroup", 7), ("runAsNonRoot", True)}


@pytest.mark.parametrize(
    "template",
    [
        {"metadata": {"labels": {"app": "x", "component": "x", "app.kubernetes.io/component": "x"}}},
        {"metadata": {"labels": None, "annotations": None}},
        {"metadata": None},
        {"metadata": {"annotations": {"featureplane.dev/config": "x"}}},
        {"spec": {"restartPolicy": "OnFailure"}},
        {"spec": {"containers": [{"name": "featureplane", "command": ["sh"], "args": []}]}},
        {"spec": {"containers": [{"name": "featureplane", "command": None, "args": None}]}},
        {"spec": None},
        {"spec": {"containers": None}},
        {"spec": {"containers": {"name": "featureplane"}}},
        {"spec": {"containers": ["featureplane", 1, {}]}},
    ],
    ids=str,
)
def test_what_makes_a_pod_ours_is_not_to_be_changed(template):
    changed = with_template(**template)
    for name, before in pods().items():
        pod = changed[name]
        assert pod["metadata"]["labels"].items() >= before["metadata"]["labels"].items()
        if name in {"server", "registry", "offline"}:
            config = "featureplane.dev/config"
            assert pod["metadata"]["annotations"][config] == before["metadata"]["annotations"][config]
        assert pod["spec"]["restartPolicy"] == before["spec"]["restartPolicy"]
        ours = [item for item in pod["spec"]["containers"] if isinstance(item, dict)]
        (found,) = [item for item in ours if item.get("name") == "featureplane"]
        assert (found["command"], found["args"]) == (container(before)["command"], container(before)["args"])


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"tolerations": [1]}, {"tolerations": [2]}, {"tolerations": [2]}),
        (
            {"volumes": [{"name": "tmp", "emptyDir": {}}]},
            {"volumes": [{"name": "tmp", "configMap": {"name": "c"}}, {"name": "x"}]},
            {"volumes": [{"name": "tmp", "configMap": {"name": "c"}}, {"name": "x"}]},
        ),
        (
            {"containers": [{"name": "a", "image": "i", "env": [{"name": "X", "valueFrom": {}}]}]},
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]},
            {"containers": [{"name": "a", "image": "i", "env": [{"name": "X", "value": "1"}]}]},
        ),
        (
            {"topologySpreadConstraints": [{"topologyKey": "host", "maxSkew": 1}]},
            {"topologySpreadConstraints": [{"topologyKey": "zone"}, {"topologyKey": "host", "maxSkew": 2}]},
            {"topologySpreadConstraints": [{"topologyKey": "host", "maxSkew": 2}, {"topologyKey": "zone"}]},
        ),
    ],
    ids=str,
)
def test_a_template_is_merged_as_kubectl_patch_does(ours, theirs, merged):
    before = repr(ours)
    assert merge(ours, theirs) == merged
    assert repr(ours) == before
