import copy
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature, a_feature_view, a_project, a_service, a_source, an_entity, documents, problems_in
from featureplane.model.base import Kind
from featureplane.model.documents import field_path
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.parsing import KINDS, PATTERN_REMEDIES, parse
from featureplane.model.repair import repaired

FULL_VIEW = a_feature_view(
    feast_name="Prices",
    namespace="lake",
    projectRef={"name": "feast", "namespace": "lake"},
    description="d",
    owner="o",
    tags={"a": "b"},
    entities=[
        an_entity(joinKey="code", type="String", description="d", owner="o", tags={"a": "b"}),
        an_entity("country"),
    ],
    features=[
        a_feature(description="d", tags={"a": "b"}, checks={"minimum": 0, "maximum": 9, "notNull": True}),
        a_feature("region", "String", checks={"in": ["a"], "pattern": "a", "maxNullFraction": 0.5}),
    ],
    ttl="2d",
    online=True,
    source=a_source(
        file={"path": "x", "format": "delta"},
        name="s",
        createdTimestampColumn="made",
        fieldMapping={"px": "price"},
        description="d",
        owner="o",
        tags={"a": "b"},
    ),
    push={"enabled": True, "name": "p"},
    materialization={"schedule": "daily", "window": "2h", "initial": False},
    suspend=True,
    deletionPolicy="Retain",
)
FULL_SERVICE = a_service(
    feast_name="Model",
    owner="o",
    description="d",
    tags={"a": "b"},
    views=[{"name": "prices", "features": ["price"]}, {"name": "other"}],
)
FULL_PROJECT = a_project(
    description="d",
    owner="o",
    tags={"a": "b"},
    allowedNamespaces=["a", "b"],
    registry={"postgresql": {"secretRef": {"name": "s"}, "createDatabase": True}, "trustUserDefinedFunctions": False},
    onlineStore={
        "redis": {"mode": "Sentinel", "sentinelMaster": "m", "tls": True, "keyTtl": "3d", "secretRef": {"name": "s"}}
    },
    offlineStore={
        "type": "file",
        "dataRoot": {"persistentVolumeClaim": "l", "mountPath": "/data"},
        "options": {"a": "b"},
    },
    schedules={"hourly": {"cron": "5 * * * *", "window": "2h", "timeZone": "Etc/UTC", "parallelism": 2}},
    batchEngine={"type": "local", "options": {"a": "b"}},
    server={
        "replicas": 1,
        "autoscaling": {"minReplicas": 20, "maxReplicas": 30, "targetCpuPercent": 50},
        "resources": {"limits": {"cpu": 1}},
        "http": {"port": 8000},
        "grpc": {"port": 8001},
        "writes": {"enabled": True},
        "auth": {
            "type": "oidc",
            "oidc": {"issuer": "https://idp.example.com", "audience": "feast", "writers": ["w"]},
            "options": {"a": "b"},
        },
        "tls": {"secretRef": {"name": "s"}},
    },
    registryServer={"enabled": False},
    purgeAfter="1d",
    podTemplate={"spec": {}},
)
FULL = [FULL_VIEW, FULL_SERVICE, FULL_PROJECT]


@pytest.mark.parametrize("item", FULL, ids=lambda item: item["kind"])
def test_an_object_with_everything_set_is_accepted(item):
    model, problems = parse(KINDS[item["kind"]], item)
    assert problems == []
    assert type(model) is KINDS[item["kind"]]


# Where and what


def test_a_problem_has_the_file_and_the_line_of_its_field():
    (document,) = documents(a_feature_view(ttl="2 days"), file="views/prices.yaml")
    model, (problem,) = parse(FeatureView, document.value, document)
    assert model is None
    assert (problem.file, problem.line, problem.path) == (
        "views/prices.yaml",
        document.lines["spec", "ttl"],
        "spec.ttl",
    )


def test_a_missing_field_has_the_line_of_what_it_is_missing_from():
    (document,) = documents(a_feature_view(features=[a_feature(), {"name": "x"}]))
    _, (problem,) = parse(FeatureView, document.value, document)
    assert (problem.path, problem.line) == ("spec.features[1].type", document.lines["spec", "features", 1])


@pytest.mark.parametrize("value", [None, 7, "x", [], [1], True])
@pytest.mark.parametrize("kind", KINDS.values())
def test_what_is_no_mapping_is_no_object(kind, value):
    _, (problem,) = parse(kind, value)
    assert problem.message.startswith("must be a mapping, not ")


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({}, ["metadata: is missing; add metadata", "spec: is missing; add spec"]),
        (
            {"metadata": None, "spec": None},
            [
                "metadata: must be a mapping, not null; write its fields below it, indented",
                "spec: must be a mapping, not null; write its fields below it, indented",
            ],
        ),
        (
            {"metadata": {}, "spec": {}},
            [
                "metadata.name: is missing; add name",
                (
                    "spec.entities: is missing; add entities: The entities that one row belongs to. "
                    "Immutable but for descriptions, owners and tags."
                ),
                "spec.features: is missing; add features: The features of this view.",
                "spec.source: is missing; add source: Where the rows come from.",
            ],
        ),
    ],
)
def test_missing_parts(value, problems):
    assert problems_in({"kind": "FeatureView", **value}) == problems


# What was meant


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"entitys": []}, "did you mean entities?"),
        ({"Entities": []}, "did you mean entities?"),
        ({"deletion_policy": "Retain"}, "did you mean deletionPolicy?"),
        ({"project-ref": {}}, "did you mean projectRef?"),
        ({"schedule": "daily"}, "did you mean materialization.schedule?"),
        (
            {"sechdule": "daily"},
            (
                "remove it; the fields here are name, projectRef, description, owner, tags, deprecated, entities, "
                "features, ttl, online, source, push, materialization, suspend, deletionPolicy"
            ),
        ),
        ({"path": "x"}, "did you mean source.file.path?"),
        ({"timestamp_field": "x"}, "did you mean source.timestampField?"),
        ({"join_key": "x"}, "did you mean entities[].joinKey?"),
        ({"minimum": 1}, "did you mean features[].checks.minimum?"),
        ({"desc": "x"}, "did you mean description?"),
        (
            {"${HOME}\n": 1},
            (
                "remove it; the fields here are name, projectRef, description, owner, tags, deprecated, entities, "
                "features, ttl, online, source, push, materialization, suspend, deletionPolicy"
            ),
        ),
        (
            {"": 1},
            (
                "remove it; the fields here are name, projectRef, description, owner, tags, deprecated, entities, "
                "features, ttl, online, source, push, materialization, suspend, deletionPolicy"
            ),
        ),
    ],
)
def test_an_unknown_field_says_what_may_have_been_meant(changes, remedy):
    (key,) = changes
    assert problems_in(a_feature_view(**changes)) == [f"{field_path(('spec', key))}: is not a field; {remedy}"]


def test_a_field_outside_the_spec_says_where_it_belongs():
    assert problems_in({**a_feature_view(), "ttl": "2d"}) == ["ttl: is not a field; did you mean spec.ttl?"]


def test_snake_case_is_not_taken_for_the_field():
    source = {"file": {"path": "x"}, "timestamp_field": "t"}
    assert len(problems_in(a_feature_view(source=source))) == 2


def patterns_in(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for key, value in schema.items():
            if key == "patternProperties":
                yield from value
            yield from patterns_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns_in(value)


@pytest.mark.parametrize("kind", KINDS.values())
def test_no_user_has_to_read_a_pattern(kind):
    # Types, durations and quantities have words of their own.
    own = {"^(((", "^((Str", "^([0-9]"}
    for pattern in patterns_in(kind.model_json_schema()):
        assert pattern in PATTERN_REMEDIES or pattern.startswith(tuple(own)), pattern


# Everything at once


def test_every_problem_of_an_object_is_listed_at_once():
    view = a_feature_view(
        "Bad_Name",
        metadata={"name": "Bad_Name", "label": {}},
        entities=[an_entity(), an_entity("b", type="Float64"), an_entity()],
        features=[a_feature("a", "Foo"), a_feature("commodity", "Int64"), a_feature("c", checks={"pattern": "x"}), "d"],
        ttl="x",
        source=a_source(file={"path": "/x"}, createdTimestampColumn="event_timestamp", fieldMapping={"q": "zz"}),
        onlin=True,
    )
    assert [problem.split(": ")[0] for problem in problems_in(view)] == [
        "metadata.label",
        "metadata.name",
        "spec.entities[1].type",
        "spec.features[0].type",
        "spec.features[2].checks.pattern",
        "spec.features[3]",
        "spec.ttl",
        "spec.source.file.path",
        "spec.onlin",
        "spec.entities[2].name",
        "spec.source.createdTimestampColumn",
        "spec.features[1].name",
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"source": a_source(file={"path": "/x"})}, "spec.features[0].name"),
        ({"source": a_source(file={})}, "spec.features[0].name"),
        ({"source": a_source(file=7)}, "spec.features[0].name"),
        ({"source": None}, "spec.features[0].name"),
        ({"source": a_source(timestampField=7)}, "spec.features[0].name"),
        ({"source": a_source(file=None)}, "spec.features[0].name"),
        ({"source": {"postgres": {}, "timestampField": "t"}}, "spec.features[0].name"),
        ({"source": {"postgres": {"table": "a-b"}, "timestampField": "t"}}, "spec.features[0].name"),
        ({"source": {"spark": {}, "timestampField": "t"}}, "spec.features[0].name"),
        ({"source": {"spark": {"table": "a.b"}, "timestampField": "t"}}, "spec.features[0].name"),
        ({"ttl": 7}, "spec.features[0].name"),
        ({"metadata": {"name": 7}}, "spec.features[0].name"),
    ],
)
def test_a_wrong_field_does_not_hide_what_lies_between_the_others(changes, path):
    view = a_feature_view(**changes, features=[a_feature("commodity")])
    assert f"{path}: 'commodity' is the join key of entities[0] as well; choose another name" in problems_in(view)


def paths_of(item, at=()):
    yield at
    if isinstance(item, dict | list):
        for key, inner in item.items() if isinstance(item, dict) else enumerate(item):
            yield from paths_of(inner, (*at, key))


def replaced(item, path, value):
    if not path:
        return value
    item = copy.copy(item)
    item[path[0]] = replaced(item[path[0]], path[1:], value)
    return item


def without(item, path):
    item = copy.deepcopy(item)
    parent = item
    for part in path[:-1]:
        parent = parent[part]
    del parent[path[-1]]
    return item


@pytest.mark.parametrize("item", FULL, ids=lambda item: item["kind"])
@pytest.mark.parametrize("value", [{"zzz": [[]]}, [[{}]], 7.5, None, "a\0b", True], ids=repr)
def test_one_wrong_field_is_one_problem_and_no_other_field_is_blamed(item, value):
    for path in paths_of(item):
        if path[:1] == ("apiVersion",) or path[:1] == ("kind",) or not path:
            continue
        for problem in parse(KINDS[item["kind"]], replaced(item, path, value))[1]:
            mine = field_path(path)
            assert problem.path.startswith(mine) or is_relation(problem), (path, str(problem))


def is_relation(problem):
    """What is right by itself and yet does not go with another field, which is where the user has to look."""
    return problem.message.startswith(
        ("maps to ", "must have exactly one of", "has persistentVolumeClaim without", "has mode Sentinel", "goes with ")
    )


@pytest.mark.parametrize("item", FULL, ids=lambda item: item["kind"])
def test_a_missing_field_is_missing_and_no_other_field_is_blamed(item):
    for path in paths_of(item):
        if len(path) > 1:
            for problem in parse(KINDS[item["kind"]], without(item, path))[1]:
                # A list that is empty now, or a rule that asks for the field.
                assert (
                    field_path(path[:-1]).startswith(problem.path)
                    or field_path(path).startswith(problem.path)
                    or is_relation(problem)
                )


def test_a_repaired_object_leaves_the_original_as_it_was():
    before = json.dumps(FULL_VIEW)
    mended = repaired(FULL_VIEW, [("spec", "source"), ("spec", "features", 0, "type"), ("spec", "ttl")])
    assert json.dumps(FULL_VIEW) == before
    assert "ttl" not in mended["spec"]
    assert mended["spec"]["features"][0]["type"] == "String"


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({**FULL_VIEW, "metadata": {**FULL_VIEW["metadata"], "name": "x"}}, "spec.features[2].name: 'code'"),
        (FULL_PROJECT, "spec.schedules.never: "),
    ],
    ids=["FeatureView", "FeastProject"],
)
def test_whatever_else_is_wrong_a_relation_is_found(item, problem):
    item = copy.deepcopy(item)
    if item["kind"] == "FeatureView":
        item["spec"]["features"].append(a_feature("code"))
    else:
        item["spec"]["schedules"]["never"] = {"cron": "5 * * * *", "window": "1h"}
    for path in paths_of(item):
        if len(path) < 2 or path[:3] in {
            ("spec", "schedules", "never"),
            ("spec", "features", 2),
            ("spec", "entities", 0),
        }:
            continue
        if path in {("spec", "entities"), ("spec", "features"), ("spec", "schedules")}:
            continue
        found = [str(each) for each in parse(KINDS[item["kind"]], replaced(item, path, 7.5))[1]]
        assert len(found) > 1 or isinstance(path[-1], str), path
        assert any(each.startswith(problem) for each in found), path


# Whatever comes

keys = st.sampled_from(
    [
        "metadata",
        "spec",
        "name",
        "namespace",
        "entities",
        "features",
        "type",
        "source",
        "file",
        "path",
        "postgres",
        "spark",
        "table",
        "timestampField",
        "fieldMapping",
        "views",
        "schedules",
        "project",
        "checks",
        "in",
        "tags",
        "offlineStore",
        "dataRoot",
        "options",
        "podTemplate",
        "[key]",
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["Int64", "a", "2d", "\ud800"])
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=4), inner, max_size=6),
    max_leaves=25,
)


@given(st.sampled_from([FeatureView, FeastProject, FeatureService]), anything)
def test_no_value_makes_the_parser_raise(kind, value):
    model, problems = parse(kind, value)
    assert (model is None) == bool(problems)
    for problem in problems:
        assert problem.message
        assert str(problem).isprintable()
        assert len(str(problem)) < 2000


@given(st.data())
def test_no_field_makes_the_parser_raise(data):
    item = data.draw(st.sampled_from(FULL))
    path = data.draw(st.sampled_from([path for path in paths_of(item) if path]))
    model, problems = parse(KINDS[item["kind"]], replaced(item, path, data.draw(anything)))
    assert (model is None) == bool(problems)
    assert all(problem.message and str(problem).isprintable() for problem in problems)


@pytest.mark.parametrize("place", [("spec",), ("spec", "podTemplate"), ("spec", "project"), ("metadata", "labels")])
def test_an_object_of_any_depth_is_refused(place):
    deep = "x"
    for _ in range(100_000):
        deep = {"a": [deep]}
    _, (problem,) = parse(FeastProject, replaced(a_project(metadata={"labels": {}}, podTemplate={}), place, deep))
    assert str(problem) == "is nested more than 64 deep; flatten it"


def test_an_error_that_has_no_words_of_its_own_is_shown_as_pydantic_puts_it():
    class Dated(Kind):
        spec: date

    _, (problem,) = parse(Dated, {"metadata": {"name": "a"}, "spec": 7})
    assert str(problem) == "spec: 7 is not allowed here (Input should be a valid date); correct it"


def test_an_accepted_object_cannot_be_changed():
    view = FeatureView.model_validate(a_feature_view())
    with pytest.raises(ValueError, match="frozen"):
        view.spec.ttl = None
