"""The operator's rights and its pod; that every right is used, and none missing, tests/cluster/test_rights.py says."""

import pytest

from featureplane.controller.cluster import DECLARED
from featureplane.manifests.child import KINDS
from featureplane.manifests.operator_deployment import NAME, NAMESPACE, operator
from featureplane.manifests.rbac import rules
from featureplane.settings import OperatorSettings
from unit.manifests.restricted import violations

both = pytest.mark.parametrize("watch", ["own", "all"])


def rights():
    return {
        (group, resource, verb)
        for rule in rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def verbs(group, resource):
    return {verb for found, about, verb in rights() if (found, about) == (group, resource)}


def made(watch):
    return {item["kind"]: item for item in operator("featureplane:1.2.3", watch)}


def test_no_right_is_given_twice():
    assert len(rights()) == sum(
        len(rule["apiGroups"]) * len(rule["resources"]) * len(rule["verbs"]) for rule in rules()
    )


def test_nothing_is_given_by_wildcard():
    assert not [right for right in rights() if any("*" in part for part in right)]


def test_secrets_are_read_by_name_and_nothing_else():
    assert verbs("", "secrets") == {"get"}


def test_pods_and_rights_are_out_of_reach():
    resources = {resource.partition("/")[0] for _, resource, _ in rights()}
    assert not resources & {"pods", "nodes", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
    assert not {verb for _, _, verb in rights()} & {"update", "deletecollection", "impersonate", "bind", "escalate"}
    assert {resource for _, resource, _ in rights() if "/" in resource} == {
        f"{resource.plural}/status" for resource in DECLARED
    }


def test_what_users_declare_is_neither_made_nor_deleted():
    for resource in DECLARED:
        assert verbs("featureplane.dev", resource.plural) == {"get", "list", "watch", "patch"}


def test_every_kind_of_child_has_its_rights():
    for api_version, kind, plural in KINDS:
        expected = {"get", "list", "watch", "create", "patch"} | ({"delete"} if kind != "Job" else set())
        assert verbs(api_version.rpartition("/")[0], plural) == expected


def test_one_namespace_or_all_the_rules_are_the_same():
    assert made("own")["Role"]["rules"] == made("all")["ClusterRole"]["rules"] == rules()
    assert made("own").keys() == {"ServiceAccount", "Role", "RoleBinding", "Deployment"}
    assert made("all").keys() == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment"}


@both
def test_the_binding_is_for_the_pods_account(watch):
    found = made(watch)
    binding = next(item for kind, item in found.items() if kind.endswith("Binding"))
    assert binding["roleRef"]["kind"] in found
    (subject,) = binding["subjects"]
    account = found["ServiceAccount"]["metadata"]
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert subject["name"] == account["name"] == pod["serviceAccountName"] == NAME
    assert subject.get("namespace") == account.get("namespace") == (NAMESPACE if watch == "all" else None)


@both
def test_the_pod_is_restricted_and_alone(watch):
    deployment = made(watch)["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    assert list(violations(pod)) == []
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["enableServiceLinks"] is False
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


@both
def test_the_operator_reads_its_environment_as_it_is_meant(watch):
    (container,) = made(watch)["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item.get("value", "there") for item in container["env"]}
    settings = OperatorSettings.from_env(environment)
    assert (settings.namespace, settings.watched) == ("there", "there" if watch == "own" else None)
    assert settings.image == container["image"] == "featureplane:1.2.3"
    assert settings.port == container["ports"][0]["containerPort"]
