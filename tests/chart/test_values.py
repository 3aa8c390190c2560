"""A wrong value is refused with its path, before anything is sent to a cluster."""

import json

import pytest
import yaml
from jsonschema import Draft7Validator

from chart.helm import CHART, Refused, render


def below(path, value):
    """A value at a path, with dots between its keys."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("replicas", 2, "(root)"),
        ("image.tag", 1.5, "image.tag"),
        ("image.tags", "1.5", "image"),
        ("image.pullPolicy", "always", "image.pullPolicy"),
        ("image.digest", "latest", "image.digest"),
        ("imagePullSecrets", ["credentials"], "imagePullSecrets.0"),
        ("operator.watch", "everything", "operator.watch"),
        ("operator.logLevel", "INFO", "operator.logLevel"),
        ("operator.extraEnv", [{"value": "1"}], "operator.extraEnv.0"),
        ("operator.extraEnv", {"A": "1"}, "operator.extraEnv"),
        ("operator.extraEnv", [{"name": "A", "value": 1}], "operator.extraEnv.0.value"),
        ("operator.extraEnv", [{"name": "A", "valu": "1"}], "operator.extraEnv.0"),
        ("operator.resources", {"request": {"cpu": "1"}}, "operator.resources"),
        ("operator.resources.requests.cpu", -1, "operator.resources.requests.cpu"),
        ("operator.resources.limits.memory", "512MB", "operator.resources.limits.memory"),
        ("hooks.resources.limits.memory", "1 Gi", "hooks.resources.limits.memory"),
        ("trial.redis.resources", {"limits": "1Gi"}, "trial.redis.resources.limits"),
        ("operator.tolerations", [{"key": "a", "efect": "NoSchedule"}], "operator.tolerations.0"),
        ("operator.tolerations", [{"key": "a", "effect": "noSchedule"}], "operator.tolerations.0.effect"),
        ("operator.affinity", {"nodeAffinty": {}}, "operator.affinity"),
        ("operator.topologySpreadConstraints", [{"maxSkew": 1}], "operator.topologySpreadConstraints.0"),
        ("operator.podSecurityContext", {"runAsUser": "me"}, "operator.podSecurityContext.runAsUser"),
        ("operator.podDisruptionBudget.maxUnavailable", -1, "operator.podDisruptionBudget.maxUnavailable"),
        ("image.repository", "registry.example.com:5000/featureplane:1.0", "image.repository"),
        ("fullnameOverride", "Not A Name", "fullnameOverride"),
        ("networkPolicy", True, "networkPolicy"),
        ("monitoring.serviceMonitor.interval", 30, "monitoring.serviceMonitor.interval"),
        ("trial.postgresql.persistence.storageClas", "fast", "trial.postgresql.persistence"),
        ("project.spec.server.replicas", "2", "project.spec.server.replicas"),
        ("project.spec.server.replica", 2, "project.spec.server"),
        ("project.spec.purgeAfter", "1 day", "project.spec.purgeAfter"),
        (
            "project.spec.schedules",
            {"hourly": {"cron": "5 * * * *", "windows": "2h"}},
            "project.spec.schedules.hourly",
        ),
        ("operator.podAnnotations", {"count": 3}, "operator.podAnnotations.count"),
        ("operator.serviceAccount.create", True, "operator.serviceAccount"),
        ("operator.tolerations", "all", "operator.tolerations"),
        ("registry.existingSecret", "", "registry.existingSecret"),
        ("onlineStore.existingSecret", "Not A Name", "onlineStore.existingSecret"),
        ("trial.enabled", "yes", "trial.enabled"),
        ("trial.postgresql.persistence.size", "big", "trial.postgresql.persistence.size"),
        ("trial.redis.runAsUser", 0, "trial.redis.runAsUser"),
        ("trial.redis.maxMemory", "1Gi", "trial.redis.maxMemory"),
        ("project.name", "Feast", "project.name"),
        ("project.spec.project", "no spaces", "project.spec.project"),
        ("project.spec.servers", {}, "project.spec"),
        ("project.spec.server.replicas", -1, "project.spec.server.replicas"),
        ("project.spec.server.http.port", 80, "project.spec.server.http.port"),
        ("project.spec.schedules", {"hourly": {"cron": 5}}, "project.spec.schedules.hourly.cron"),
        ("project.spec.registry.postgresql.secretRef", {"name": "own"}, "project.spec.registry.postgresql"),
        ("project.spec.onlineStore.redis.mode", "Single", "project.spec.onlineStore.redis.mode"),
        ("gateway.parentRefs", [{}], "gateway.parentRefs.0"),
        ("ingress.hosts", [{"host": "a"}], "ingress.hosts.0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(path, value, where, tmp_path):
    with pytest.raises(Refused) as refused:
        render(below(path, value), tmp_path)
    # As Helm 3.17 says it, and as later ones do.
    pointer = "".join(f"/{key}" for key in where.split(".")) if where != "(root)" else ""
    assert f"- {where}: " in str(refused.value) or f"- at '{pointer}': " in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("operator.resources", {"requests": {"cpu": 0.5, "memory": "1e9"}, "limits": {"cpu": 2, "memory": None}}),
        ("operator.extraEnv", [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]),
        ("operator.tolerations", [{"operator": "Exists"}]),
        ("operator.podSecurityContext", {"runAsUser": None, "fsGroup": None, "supplementalGroups": [1]}),
        ("image.repository", "registry.example.com:5000/team/featureplane"),
        ("nameOverride", "features"),
    ],
)
def test_what_kubernetes_takes_is_taken(path, value, tmp_path):
    assert render(below(path, value), tmp_path)


def test_the_schema_takes_what_values_yaml_has():
    schema = json.loads((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    Draft7Validator(schema).validate(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_every_object_of_the_schema_with_known_fields_takes_no_other():
    def open_ones(schema, at="values"):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield at
        for key, child in schema.get("properties", {}).items():
            yield from open_ones(child, f"{at}.{key}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(open_ones(schema)) == []


def test_what_a_chart_above_gives_to_all_its_parts_is_taken(tmp_path):
    assert render({"global": {"imageRegistry": "registry.example.com"}}, tmp_path)


def test_pod_templates_of_a_project_are_taken_as_they_are(tmp_path):
    template = {"metadata": {"labels": {"team": "data"}}, "spec": {"nodeSelector": {"disk": "ssd"}}}
    items = render({"project": {"spec": {"podTemplate": template}}}, tmp_path)
    assert next(item for item in items if item["kind"] == "FeastProject")["spec"]["podTemplate"] == template
