"""What holds for every child of every project, and which children there are."""

import re
from collections import Counter

import pytest
import yaml

from factories import a_project, problems_in
from featureplane.manifests.children import KINDS, children
from unit.manifests.contexts import SERVICE_BINDING, a_context, everything, facts, named, template, templates
from unit.manifests.restricted import violations

TRUSTED = SERVICE_BINDING | {"ca.crt", "sslmode", "db"}
PROJECTS = {
    "defaults": {},
    "no secrets": {"secrets": {}},
    "every secret": {
        "secrets": {"feast-registry": facts(TRUSTED), "feast-online": facts(TRUSTED), "s3": facts({"AWS_KEY"})},
        "offlineStore": {
            "dataRoot": {"persistentVolumeClaim": "lake", "mountPath": "/data"},
            "secretRef": {"name": "s3"},
        },
        "image_pull_secrets": ("pull",),
    },
    "one secret for both": {
        "secrets": {"both": facts(TRUSTED)},
        "registry": {"postgresql": {"secretRef": {"name": "both"}}},
        "onlineStore": {"redis": {"secretRef": {"name": "both"}, "mode": "Sentinel", "sentinelMaster": "m"}},
    },
    "large": {
        "server": {"autoscaling": {}, "workers": 4, "http": {"port": 9090}, "grpc": {"port": 9091}},
        "schedules": {"a": {"cron": "* * * * *", "window": "2h", "parallelism": 64}},
    },
    "small": {"server": {"replicas": 0}, "registryServer": {"enabled": False}, "offlineServer": {"enabled": False}},
    "longest names": {"name": "p" * 38, "schedules": {"s": {"cron": "5 * * * *", "window": "2h"}}},
    "own pods": {"podTemplate": {"spec": {"containers": [{"name": "featureplane", "env": [{"name": "HOME"}]}]}}},
}


@pytest.fixture(params=PROJECTS.values(), ids=list(PROJECTS), scope="module")
def context(request):
    return a_context(**request.param)


def test_the_first_child_of_each_kind_is_made_as_it_was(request):
    place = request.path.with_name("defaults.yaml")
    first = {item["kind"]: item for item in reversed(everything(a_context(server={"autoscaling": {}})))}
    now = yaml.dump_all(reversed(first.values()), Dumper=Plain, sort_keys=False, width=120)
    if request.config.getoption("--update-golden"):
        place.write_text(now)
    assert now == place.read_text(), "if this change is meant: pytest tests/unit/manifests --update-golden"


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, _):
        return True


Plain.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def test_children_come_in_the_order_in_which_they_are_needed(context):
    kinds = list(dict.fromkeys(item["kind"] for item in children(context)))
    assert kinds == [kind for _, kind, _ in KINDS if kind in kinds]


def test_everything_is_of_a_kind_that_is_watched(context):
    assert {(item["apiVersion"], item["kind"]) for item in everything(context)} <= {item[:2] for item in KINDS}


def test_no_two_children_are_the_same_object(context):
    (most,) = Counter((item["kind"], item["metadata"]["name"]) for item in everything(context)).most_common(1)
    assert most[1] == 1


def test_the_same_project_makes_the_same_children(context):
    assert everything(context) == everything(context)


def test_everything_is_labelled_and_owned(context):
    for item in everything(context):
        metadata = item["metadata"]
        assert metadata["namespace"] == "ml"
        assert metadata["labels"].items() >= {
            ("app.kubernetes.io/name", "feast"),
            ("app.kubernetes.io/instance", context.name),
            ("app.kubernetes.io/part-of", "featureplane"),
            ("app.kubernetes.io/managed-by", "featureplane"),
            ("featureplane.dev/project", context.name),
        }
        assert "app.kubernetes.io/component" in metadata["labels"]
        assert metadata["ownerReferences"] == [
            {
                "apiVersion": "featureplane.dev/v1alpha1",
                "kind": "FeastProject",
                "name": context.name,
                "uid": "the-uid",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ]


def test_names_and_labels_are_such_as_kubernetes_takes(context):
    longest = {"CronJob": 52}
    for item in everything(context):
        name = item["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert len(name) <= longest.get(item["kind"], 63)
        labels = [item["metadata"]["labels"], *([found["metadata"]["labels"]] if (found := template(item)) else [])]
        assert all(
            re.fullmatch(r"[a-zA-Z0-9]([-\w.]{0,61}[a-zA-Z0-9])?", text) for each in labels for text in each.values()
        )


def test_a_longer_project_is_refused_before_a_name_is_too_long():
    project = {"name": "p" * 39, "schedules": {"s": {"cron": "5 * * * *", "window": "2h"}}}
    assert problems_in(a_project(**project)) != []


def test_every_pod_meets_the_restricted_standard(context):
    for name, pod in templates(context):
        assert (name, list(violations(pod["spec"]))) == (name, [])


def test_no_list_has_two_items_that_server_side_apply_takes_for_one(context):
    for _, pod in templates(context):
        spec = pod["spec"]
        assert unique(spec["volumes"], "name")
        for each in [*spec["initContainers"], *spec["containers"]]:
            assert unique(each["env"], "name")
            assert unique(each["volumeMounts"], "mountPath")
            assert unique(each.get("ports", []), "containerPort")
    for item in children(context):
        if item["kind"] == "Service":
            assert unique(item["spec"]["ports"], "port")
            assert unique(item["spec"]["ports"], "name")


def unique(items, key):
    return len({item[key] for item in items}) == len(items)


def test_every_mount_has_its_volume_and_every_volume_is_mounted(context):
    for _, pod in templates(context):
        (ours,) = pod["spec"]["containers"]
        assert {item["name"] for item in ours["volumeMounts"]} == {item["name"] for item in pod["spec"]["volumes"]}


def test_selectors_find_their_pods_and_no_others(context):
    pods = {name: pod["metadata"]["labels"] for name, pod in templates(context)}
    for item in children(context):
        spec = item.get("spec", {})
        wanted = {
            "Service": lambda spec=spec: spec["selector"],
            "Deployment": lambda spec=spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec=spec: spec["podSelector"]["matchLabels"],
            "PodDisruptionBudget": lambda spec=spec: spec["selector"]["matchLabels"],
        }.get(item["kind"])
        if wanted:
            found = {name for name, labels in pods.items() if wanted().items() <= labels.items()}
            own = item["metadata"]["name"].removeprefix(f"{context.name}-")
            runs = {name for name in pods if name.startswith("materialize-")} | {"initial", "purge"}
            assert found == (runs if own == "materialize" else {own})


def test_servers_that_are_turned_off_leave_nothing_behind():
    off = {"registryServer": {"enabled": False}, "offlineServer": {"enabled": False}}
    gone = named(a_context()) - named(a_context(**off))
    assert gone == {
        (kind, f"feast-{name}")
        for kind in ("Deployment", "Service", "NetworkPolicy")
        for name in ("registry", "offline")
    }
