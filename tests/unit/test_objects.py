import pytest

from factories import (
    a_feature,
    a_feature_view,
    a_postgres_source,
    a_project,
    a_service,
    a_source,
    a_spark_project,
    a_spark_source,
    an_entity,
    definition,
)
from factories import declared as declared_objects
from featureplane.rendering.definitions import define
from featureplane.rendering.objects import data_root, kubernetes_name, project_object, service_object, view_object


def imported(project, *objects):
    """The definitions that these objects make, and those that the objects made of these definitions make."""
    (declared,) = declared_objects(project, *objects)
    definitions = define(declared)
    known = {item.key: item for item in definitions}
    root = data_root(item.spec["path"] for item in definitions if item.spec.get("type") == "file")
    name = declared.project.spec.project
    store = declared.project.spec.offline_store.type
    back = [project_object(name, known["project", name], root, store)]
    reference = back[0]["metadata"]["name"]
    back += [view_object(item, known, root, reference) for item in definitions if item.kind == "feature_view"]
    back += [service_object(item, known, reference) for item in definitions if item.kind == "feature_service"]
    (again,) = declared_objects(*back)
    return definitions, define(again), back


WORDS = {"description": "${HOME}\n'é", "owner": "o", "tags": {"a": "b"}}
ROOT = {"dataRoot": {"uri": "s3://lake/features"}}


@pytest.mark.parametrize(
    "objects",
    [
        [a_project(), a_feature_view()],
        [a_project(**WORDS), a_feature_view(**WORDS, entities=[an_entity(**WORDS)], source=a_source(**WORDS))],
        [a_project(offlineStore=ROOT), a_feature_view("a", source=a_source(file={"path": "x/"})), a_feature_view("b")],
        [
            a_project(offlineStore={"dataRoot": {"uri": "/data"}}),
            a_feature_view(source=a_source(file={"path": "a/b.parquet"})),
        ],
        [a_project(offlineStore={"type": "postgres"}), a_feature_view(source=a_postgres_source())],
        [a_spark_project(), a_feature_view(source=a_spark_source())],
        [
            a_project(project="254-Carbon_"),
            a_feature_view(
                "v",
                feast_name="Driver-Stats",
                entities=[an_entity(joinKey="k", type="Int64"), an_entity("b")],
                features=[
                    a_feature(description="d", tags={"a": "b"}, checks={"minimum": 0, "in": [1]}),
                    a_feature("s", "Struct({a: Array(Int64)})"),
                ],
                ttl="36h",
                online=False,
                source=a_source(
                    file={"path": "x", "format": "delta"},
                    name="src",
                    createdTimestampColumn="made",
                    fieldMapping={"p": "price"},
                ),
                push={"enabled": True, "name": "pushed"},
                materialization={"schedule": "daily", "window": "2h", "initial": False},
                suspend=True,
                deletionPolicy="Retain",
            ),
            a_feature_view("w", entities=[an_entity("other")], push={"enabled": True}),
            a_service("s", feast_name="S", **WORDS, views=[{"name": "Driver-Stats", "features": ["s"]}, {"name": "w"}]),
        ],
    ],
    ids=["minimal", "free text", "data root", "folder", "postgres", "spark", "everything"],
)
def test_what_is_made_of_definitions_makes_them_again(objects):
    before, after, _ = imported(*objects)
    assert [(item.key, item.spec) for item in after] == [(item.key, item.spec) for item in before]
    assert [item.extras for item in after if item.kind != "project"] == [
        item.extras for item in before if item.kind != "project"
    ]


def test_defaults_are_left_out():
    _, _, (project, view) = imported(a_project(), a_feature_view())
    assert project["spec"] == {"project": "feast", "offlineStore": {"type": "file", "dataRoot": {"uri": "."}}}
    assert view["metadata"] == {"name": "commodity-prices"}
    assert view["spec"] == {
        "projectRef": {"name": "feast"},
        "entities": [{"name": "commodity", "type": "String"}],
        "features": [{"name": "price", "type": "Float64"}],
        "source": {"file": {"path": "prices.parquet"}, "timestampField": "event_timestamp"},
    }


def test_a_project_that_feast_never_described():
    assert project_object("Feast", None, ".", "duckdb")["spec"] == {
        "project": "Feast",
        "offlineStore": {"type": "duckdb", "dataRoot": {"uri": "."}},
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Driver-Stats", "driver-stats"),
        ("a_b", "a-b"),
        ("a__B", "a-b"),
        ("254carbon", "254carbon"),
        ("-", "x"),
        ("_", "x"),
    ],
)
def test_a_name_for_kubernetes(name, expected):
    assert kubernetes_name(name) == expected


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        ([], "."),
        (["a.parquet", "b/c.parquet"], "."),
        (["/data/a/x.parquet", "/data/b/y.parquet"], "/data"),
        (["/a.parquet"], "/"),
        (["s3://lake/a/x", "s3://lake/a/b/y"], "s3://lake/a"),
        (["s3://lake/x", "s3://lake/y"], "s3://lake"),
        (["s3://one/x", "s3://two/x", "s3://two/y"], "s3://two"),
    ],
)
def test_the_root_that_most_sources_share(paths, root):
    assert data_root(paths) == root


def test_a_source_outside_the_root_cannot_be_one():
    source = definition("data_source", a_feature_view())
    view = definition("feature_view", a_feature_view())
    entity = definition("entity", a_feature_view())
    known = {item.key: item for item in (source, view, entity)}
    with pytest.raises(ValueError, match=r"its source prices.parquet does not lie below /data as the others' do"):
        view_object(view, known, "/data", "feast")
