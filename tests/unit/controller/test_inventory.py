"""What the inventory takes for a change, and what not."""

import copy

import pytest

from factories import a_feature_view, a_project
from featureplane import names
from featureplane.controller.inventory import Inventory, fingerprint

KEY = ("data", "feast")


def in_cluster(item, uid="1", **metadata):
    body = copy.deepcopy(item)
    body["metadata"] |= {"namespace": "data", "uid": uid, "generation": 1, "resourceVersion": "1",
                         "creationTimestamp": "2026-01-01T00:00:00Z", **metadata}  # fmt: skip
    return body


def a_child(kind="ConfigMap", **changes):
    labels = {names.LABEL_PROJECT: "feast"}
    metadata = {"name": "feast-repo", "namespace": "data", "labels": labels, "resourceVersion": "1"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"a": "b"}, **changes}


@pytest.fixture
def heard():
    return []


@pytest.fixture
def inventory(heard):
    return Inventory(lambda key, why: heard.append((key, why)))


def test_a_new_object_marks_its_project(inventory, heard):
    inventory.observe("ADDED", in_cluster(a_feature_view()))
    assert heard == [(KEY, "FeatureView changed")]
    assert [item.feast_name for item in inventory.members(KEY, names.FEATURE_VIEW)] == ["commodity_prices"]


@pytest.mark.parametrize(
    ("metadata", "is_change"),
    [
        ({"resourceVersion": "2"}, False),
        ({"resourceVersion": "2", "labels": {"a": "b"}}, False),
        ({"generation": 2}, True),
        ({"deletionTimestamp": "2026-01-02T00:00:00Z"}, True),
        ({"finalizers": [names.FINALIZER]}, True),
        ({"annotations": {names.ANNOTATION_RECONCILE_AT: "now"}}, True),
    ],
)
def test_what_counts_as_a_change(inventory, heard, metadata, is_change):
    inventory.observe("ADDED", in_cluster(a_feature_view()))
    heard.clear()
    inventory.observe("MODIFIED", in_cluster(a_feature_view(), **metadata))
    assert bool(heard) is is_change


def test_a_status_is_no_change_and_is_remembered(inventory, heard):
    inventory.observe("ADDED", in_cluster(a_feature_view()))
    heard.clear()
    inventory.observe("MODIFIED", {**in_cluster(a_feature_view()), "status": {"digest": "d"}})
    (item,) = inventory.members(KEY, names.FEATURE_VIEW)
    assert (heard, item.status) == ([], {"digest": "d"})


def test_an_object_that_cannot_be_says_why_and_belongs_to_its_project(inventory):
    wrong = a_feature_view(features=[], projectRef={"name": "other"}, feast_name="prices")
    inventory.observe("ADDED", in_cluster(wrong))
    (item,) = inventory.members(("data", "other"), names.FEATURE_VIEW)
    assert item.model is None
    assert item.problems[0].path == "spec.features"
    assert item.feast_name == "prices"


@pytest.mark.parametrize("spec", [None, [], "text", {"projectRef": []}, {"projectRef": {"name": None}, "name": None}])
def test_any_spec_at_all_is_taken_in(inventory, spec):
    body = in_cluster(a_feature_view())
    body["spec"] = spec
    inventory.observe("ADDED", body)
    assert len(inventory.members(KEY, names.FEATURE_VIEW)) == 1


def test_the_oldest_come_first(inventory):
    for name, created in (("b", "2026-01-02T00:00:00Z"), ("c", "2026-01-01T00:00:00Z"), ("a", "2026-01-02T00:00:00Z")):
        inventory.observe("ADDED", in_cluster(a_feature_view(name), uid=name, creationTimestamp=created))
    assert [item.name for item in inventory.members(KEY, names.FEATURE_VIEW)] == ["c", "a", "b"]


def test_a_deletion_of_an_earlier_object_of_that_name_is_not_of_this_one(inventory):
    inventory.observe("ADDED", in_cluster(a_feature_view(), uid="2"))
    inventory.observe("DELETED", in_cluster(a_feature_view(), uid="1"))
    assert inventory.members(KEY, names.FEATURE_VIEW)
    inventory.observe("DELETED", in_cluster(a_feature_view(), uid="2"))
    assert not inventory.members(KEY, names.FEATURE_VIEW)


def test_projects_that_something_refers_to_are_known_even_when_they_are_not_there(inventory):
    inventory.observe("ADDED", in_cluster(a_feature_view(projectRef={"name": "absent"})))
    inventory.observe("ADDED", in_cluster(a_project(), uid="2"))
    assert inventory.project_keys() == {("data", "absent"), KEY}


def test_a_child_that_we_applied_is_no_news_and_an_edit_is(inventory, heard):
    inventory.note_child(a_child())
    inventory.observe_child("ADDED", a_child())
    assert heard == []
    inventory.observe_child("MODIFIED", a_child(data={"a": "c"}))
    assert heard == [(KEY, "ConfigMap changed")]
    inventory.observe_child("DELETED", a_child())
    assert heard[-1] == (KEY, "ConfigMap deleted")


def test_a_child_whose_label_was_edited_is_put_back_by_its_project(inventory, heard):
    inventory.note_child(a_child())
    moved = a_child()
    moved["metadata"] |= {"labels": {names.LABEL_PROJECT: "another"}, "resourceVersion": "2"}
    inventory.observe_child("MODIFIED", moved)
    assert (KEY, "ConfigMap changed") in heard


def test_a_child_whose_deletion_was_missed_is_its_projects(inventory, heard):
    inventory.note_child(a_child())
    inventory.observe_child("DELETED", {"kind": "ConfigMap", "metadata": {"namespace": "data", "name": "feast-repo"}})
    assert heard == [(KEY, "ConfigMap deleted")]


def test_what_kubernetes_writes_is_no_edit():
    body = a_child()
    ours = fingerprint(body)
    body["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "3"}
    body["metadata"]["resourceVersion"] = "9"
    body["status"] = {"replicas": 2}
    assert fingerprint(body) == ours
    body["metadata"]["labels"] = {}
    assert fingerprint(body) != ours


def test_a_job_that_ends_is_news(inventory, heard):
    inventory.note_child(a_child("Job"))
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    inventory.observe_child("MODIFIED", a_child("Job", status={"active": 1}))
    assert heard == []
    inventory.observe_child("MODIFIED", a_child("Job", status=done))
    assert heard == [(KEY, "Job changed")]
