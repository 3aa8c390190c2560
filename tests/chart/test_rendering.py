"""What the chart makes of its values."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from chart.helm import CHART, CI_VALUES, NAMESPACE, ROOT, Refused, helm, one, pod_specs, render, render_text
from featureplane.manifests.operator_deployment import operator
from featureplane.manifests.rbac import rules
from featureplane.model.feast_project import FeastProject
from unit.manifests.restricted import violations

every_ci = pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
IMAGE = f"ghcr.io/featureplane/featureplane:{yaml.safe_load((CHART / 'Chart.yaml').read_text())['appVersion']}"


def test_lint_finds_nothing():
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@every_ci
def test_lint_finds_nothing_in_what_ci_has(path):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--values", str(path))


def test_what_is_generated_is_what_would_be_generated_now():
    check = [sys.executable, str(ROOT / "tools" / "generate_chart.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@every_ci
def test_every_pod_meets_the_restricted_standard(path):
    specs = pod_specs(render(path))
    assert specs
    assert {name: list(violations(spec)) for name, spec in specs.items()} == {name: [] for name in specs}


@every_ci
def test_no_pod_hears_of_services_by_its_environment(path):
    assert {spec.get("enableServiceLinks") for spec in pod_specs(render(path)).values()} == {False}


@every_ci
def test_everything_is_in_the_releases_namespace_or_in_none(path):
    for item in render(path):
        expected = None if item["kind"].startswith("Cluster") else NAMESPACE
        assert item["metadata"].get("namespace") == expected, item


@every_ci
def test_all_objects_say_what_they_belong_to(path):
    for item in render(path):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "featureplane", item
        assert labels["app.kubernetes.io/managed-by"] == "Helm", item


@every_ci
def test_the_project_is_one_that_the_operator_takes(path):
    for item in render(path):
        if item["kind"] == "FeastProject":
            FeastProject.model_validate(item)


@pytest.mark.parametrize("watch", ["own", "all"])
def test_the_operator_is_the_one_of_deploy(watch, tmp_path):
    """What a plain `kubectl apply` of deploy/ makes, but for names, labels and what only the chart's values say."""
    wanted = {item["kind"]: item for item in operator(IMAGE, watch)}["Deployment"]["spec"]
    spec = one(render({"operator": {"watch": watch}}, tmp_path), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (wanted["replicas"], wanted["strategy"])
    pod, wanted_pod = spec["template"]["spec"], wanted["template"]["spec"]
    (container,), (wanted_container,) = pod.pop("containers"), wanted_pod.pop("containers")
    own = {"FEATUREPLANE_IMAGE_PULL_POLICY", "FEATUREPLANE_LOG_LEVEL", "FEATUREPLANE_LOG_FORMAT"}
    container["env"] = [each for each in container["env"] if each["name"] not in own]
    assert container == wanted_container
    assert pod == wanted_pod


@pytest.mark.parametrize(("watch", "kind"), [("own", "Role"), ("all", "ClusterRole")])
def test_the_operator_has_the_rights_of_its_tests_and_no_other(watch, kind, tmp_path):
    items = render({"operator": {"watch": watch}}, tmp_path, "--no-hooks")
    assert one(items, kind)["rules"] == rules()
    assert not [item for item in items if item["kind"] in {"Role", "ClusterRole"} - {kind}]
    binding = one(items, f"{kind}Binding")
    assert binding["roleRef"]["name"] == one(items, kind)["metadata"]["name"]
    account = one(items, "ServiceAccount")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]


def test_a_trial_leads_the_project_to_its_own_stores(tmp_path):
    items = render({"trial": {"enabled": True}}, tmp_path)
    spec = one(items, "FeastProject")["spec"]
    for name, keys in (
        (spec["registry"]["postgresql"]["secretRef"]["name"], {"host", "port", "dbname", "user", "password"}),
        (spec["onlineStore"]["redis"]["secretRef"]["name"], {"host", "port", "password", "redis.conf"}),
    ):
        secret = one(items, "Secret", name)["stringData"]
        assert secret.keys() == keys
        assert secret["host"] == f"{one(items, 'Service', name)['metadata']['name']}.{NAMESPACE}.svc"
        assert secret["port"] == str(one(items, "Service", name)["spec"]["ports"][0]["port"])
        assert len(secret["password"]) == 32
        assert one(items, "StatefulSet", name)["spec"]["serviceName"] == name


def test_the_trials_redis_refuses_rows_before_it_is_killed(tmp_path):
    items = render({"trial": {"enabled": True, "redis": {"maxMemory": "300mb"}}}, tmp_path)
    lines = one(items, "Secret", "redis")["stringData"]["redis.conf"].splitlines()
    assert {"maxmemory 300mb", "maxmemory-policy noeviction"} <= set(lines)


def test_passwords_are_in_secrets_alone(tmp_path):
    items = render({"trial": {"enabled": True}}, tmp_path)
    passwords = [item["stringData"]["password"] for item in items if item["kind"] == "Secret"]
    assert len(set(passwords)) == 2
    others = yaml.safe_dump_all(item for item in items if item["kind"] != "Secret")
    assert not [password for password in passwords if password in others]


def test_no_store_of_the_chart_without_a_trial():
    items = render()
    assert not [item for item in items if item["kind"] in {"Secret", "StatefulSet"}]
    spec = one(items, "FeastProject")["spec"]
    assert spec["registry"]["postgresql"]["secretRef"] == {"name": "feast-registry"}
    assert spec["onlineStore"]["redis"]["secretRef"] == {"name": "feast-online"}


def test_a_store_without_a_volume(tmp_path):
    off = {"persistence": {"enabled": False}}
    items = render({"trial": {"enabled": True, "postgresql": off, "redis": off}}, tmp_path)
    for item in (item for item in items if item["kind"] == "StatefulSet"):
        assert "volumeClaimTemplates" not in item["spec"]
        assert {"name": "data", "emptyDir": {}} in item["spec"]["template"]["spec"]["volumes"]


def test_other_fields_of_the_stores_are_kept(tmp_path):
    redis = {"redis": {"mode": "Cluster", "tls": True}}
    spec = one(render({"project": {"spec": {"onlineStore": redis}}}, tmp_path), "FeastProject")["spec"]
    assert spec["onlineStore"]["redis"] == {"mode": "Cluster", "tls": True, "secretRef": {"name": "feast-online"}}


def test_the_children_run_the_same_image_from_the_same_place(tmp_path):
    values = {"image": {"tag": "1.2.3", "pullPolicy": "Always"}, "imagePullSecrets": [{"name": "one"}, {"name": "two"}]}
    pod = one(render(values, tmp_path), "Deployment")["spec"]["template"]["spec"]
    env = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
    assert env["FEATUREPLANE_IMAGE"] == pod["containers"][0]["image"] == "ghcr.io/featureplane/featureplane:1.2.3"
    assert env["FEATUREPLANE_IMAGE_PULL_POLICY"] == "Always"
    assert env["FEATUREPLANE_IMAGE_PULL_SECRETS"] == "one,two"
    assert pod["imagePullSecrets"] == values["imagePullSecrets"]


def test_a_digest_takes_the_place_of_a_tag(tmp_path):
    digest = "sha256:" + "b" * 64
    pod = one(render({"image": {"tag": "1.2.3", "digest": digest}}, tmp_path), "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"ghcr.io/featureplane/featureplane@{digest}"


def test_ways_in_lead_to_the_servers_service(tmp_path):
    values = {
        "ingress": {"enabled": True, "hosts": ["a.example.com"]},
        "gateway": {"enabled": True, "grpc": True, "parentRefs": [{"name": "public"}], "grpcHosts": ["b.example.com"]},
        "project": {"name": "shop", "spec": {"server": {"http": {"port": 9000}}}},
    }
    items = render(values, tmp_path)
    backend = one(items, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend == {"service": {"name": "shop-server", "port": {"name": "http"}}}
    assert one(items, "HTTPRoute")["spec"]["rules"] == [{"backendRefs": [{"name": "shop-server", "port": 9000}]}]
    assert one(items, "GRPCRoute")["spec"]["rules"] == [{"backendRefs": [{"name": "shop-server", "port": 6566}]}]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ingress": {"enabled": True}}, "ingress.hosts is empty"),
        ({"gateway": {"enabled": True}}, "gateway.parentRefs is empty"),
        (
            {"gateway": {"enabled": True, "grpc": True, "parentRefs": [{"name": "public"}]}},
            "gateway.grpcHosts is empty",
        ),
        ({"ingress": {"enabled": True, "hosts": ["a"]}, "project": {"create": False}}, "project.create is not"),
        ({"gateway": {"enabled": True}, "project": {"create": False}}, "project.create is not"),
    ],
)
def test_a_way_in_without_what_it_needs_is_refused(values, words, tmp_path):
    with pytest.raises(Refused, match=words):
        render(values, tmp_path)


def notes(values, tmp_path):
    """Helm prints them only where there is a cluster: here they are rendered as a value of a manifest."""
    chart = shutil.copytree(CHART, tmp_path / "chart")
    (chart / "templates" / "NOTES.txt").rename(chart / "NOTES")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ tpl (.Files.Get "NOTES") . | quote }}\n')
    arguments = [word for value in values for word in ("--set", value)]
    shown = ("--namespace", NAMESPACE, "--show-only", "templates/notes.yaml")
    return yaml.safe_load(helm("template", "featureplane", str(chart), *shown, *arguments))["notes"]


def test_the_notes_have_three_commands_and_say_what_stays(tmp_path):
    text = notes(["trial.enabled=true", "project.name=shop"], tmp_path)
    assert len(re.findall(r"^  \d\. .+\n     kubectl -n data-platform", text, re.MULTILINE)) == 3
    assert "wait --for=condition=Ready fproj/shop" in text
    assert "port-forward svc/shop-server 8080:8080" in text
    assert "volume claims of the trial stores" in text.partition("helm uninstall featureplane")[2]


def test_the_notes_name_the_secrets_that_are_needed(tmp_path):
    text = notes(["registry.existingSecret=mine"], tmp_path)
    assert "mine (PostgreSQL) and feast-online (Redis) have to be in data-platform" in text


def test_names_of_a_release_with_a_long_name_fit():
    text = helm("template", "r" * 53, str(CHART), "--namespace", NAMESPACE, "--set", "trial.enabled=true")
    for item in filter(None, yaml.safe_load_all(text)):
        # Pods of StatefulSets and Jobs have them in labels, with a hash or an index behind.
        longest = 52 if item["kind"] in {"StatefulSet", "Job"} else 63
        assert len(item["metadata"]["name"]) <= longest, item["metadata"]["name"]


def test_two_releases_of_all_namespaces_share_no_name_in_the_cluster(tmp_path):
    first = render_text({"operator": {"watch": "all"}}, tmp_path)
    second = helm("template", "featureplane", str(CHART), "--namespace", "other", "--set", "operator.watch=all")
    names = [
        {item["metadata"]["name"] for item in yaml.safe_load_all(text) if item and item["kind"].startswith("Cluster")}
        for text in (first, second)
    ]
    assert names[0]
    assert not names[0] & names[1]
