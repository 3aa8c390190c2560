import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    declared,
    defined,
    definition,
)
from featureplane.model.declarations import with_data_root
from featureplane.rendering.definitions import (
    DEFAULT_VIEW_EXTRAS,
    KINDS,
    Definition,
    canonical,
    define,
    digest,
    document,
    projection_digest,
)


def keys(definitions):
    return [item.key for item in definitions]


# What is defined


def test_a_minimal_view():
    project, entity, source, view = defined(a_feature_view())
    text = {"description": "", "owner": "", "tags": {}}
    assert project.spec == {"name": "feast", **text}
    assert entity.spec == {"name": "commodity", "join_key": "commodity", "type": "String", **text}
    assert source.spec == {
        "type": "file",
        "path": "prices.parquet",
        "format": "parquet",
        "name": "commodity_prices_source",
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "",
        "field_mapping": {},
        **text,
    }
    assert view.spec == {
        "name": "commodity_prices",
        "entities": [{"name": "commodity", "join_key": "commodity", "type": "String"}],
        "features": [{"name": "price", "type": "Float64", "description": "", "tags": {}}],
        "ttl_seconds": 0,
        "online": True,
        "source": "commodity_prices_source",
        "push_source": None,
        **text,
    }
    assert view.extras == DEFAULT_VIEW_EXTRAS


def test_the_owner_is_the_object_and_nobody_for_what_is_shared():
    owners = {item.kind: item.owner for item in defined(a_feature_view("v"), a_service("s", views=[{"name": "v"}]))}
    assert owners == {
        "project": "default/feast",
        "entity": "",
        "data_source": "",
        "feature_view": "default/v",
        "feature_service": "default/s",
    }


def test_what_only_featureplane_keeps_is_no_part_of_what_feast_is_told():
    plain = definition("feature_view", a_feature_view())
    view = definition(
        "feature_view",
        a_feature_view(
            features=[a_feature(checks={"minimum": 0, "in": [1, 2.5], "notNull": False})],
            materialization={"schedule": "daily", "window": "90m", "initial": False},
            suspend=True,
            deletionPolicy="Retain",
        ),
    )
    assert view.extras == {
        "checks": {"price": {"minimum": 0.0, "in": [1, 2.5]}},
        "deletion_policy": "Retain",
        "initial": False,
        "schedule": "daily",
        "suspend": True,
        "window": "1h30m",
    }
    assert view.spec_digest == plain.spec_digest
    assert view.digest != plain.digest


def test_the_schedules_of_a_project():
    schedules = {"q": {"cron": "0 0 1 * *", "window": "90d", "timeZone": "Europe/Berlin"}}
    project = definition("project", a_project(schedules=schedules, purgeAfter="36h", description="d"))
    assert project.extras == {
        "schedules": {"q": {"cron": "0 0 1 * *", "time_zone": "Europe/Berlin", "window": "90d"}},
        "purge_after": "1d12h",
    }
    assert project.spec["description"] == "d"


def test_a_postgres_source():
    project = a_project(offlineStore={"type": "postgres"})
    source = definition("data_source", project, a_feature_view(source=a_postgres_source("lake.prices")))
    assert (source.spec["type"], source.spec["table"]) == ("postgres", "lake.prices")
    assert "path" not in source.spec


def test_a_spark_source():
    source = definition("data_source", a_spark_project(), a_feature_view(source=a_spark_source("lake.markets.prices")))
    assert (source.spec["type"], source.spec["table"]) == ("spark", "lake.markets.prices")
    assert "path" not in source.spec


def test_a_file_lies_below_the_data_root():
    root = {"dataRoot": {"uri": "s3://lake/features"}}
    source = definition("data_source", a_project(offlineStore=root), a_feature_view())
    assert source.spec["path"] == "s3://lake/features/prices.parquet"


def test_a_file_lies_below_a_laptops_data_root():
    (project,) = declared(a_feature_view())
    (source,) = [item for item in define(with_data_root(project, "/home/é")) if item.kind == "data_source"]
    assert source.spec["path"] == "/home/é/prices.parquet"


def test_a_push_source_stands_on_the_views_source():
    definitions = defined(a_feature_view(push={"enabled": True}))
    assert definitions[3].spec == {
        "type": "push",
        "name": "commodity_prices_push",
        "batch_source": "commodity_prices_source",
        "description": "",
        "owner": "",
        "tags": {},
    }
    assert definitions[4].spec["push_source"] == "commodity_prices_push"


def test_shared_entities_and_sources_are_defined_once_with_what_any_view_says():
    source = a_source(name="s")
    definitions = defined(
        a_feature_view("a", source=source, entities=[an_entity(owner="o")]),
        a_feature_view("b", source=source, entities=[an_entity(tags={"x": "y"}), an_entity("country")]),
    )
    assert keys(definitions) == [
        ("project", "feast"),
        ("entity", "commodity"),
        ("entity", "country"),
        ("data_source", "s"),
        ("feature_view", "a"),
        ("feature_view", "b"),
    ]
    assert (definitions[1].spec["owner"], definitions[1].spec["tags"]) == ("o", {"x": "y"})


def test_a_service_names_its_features_and_knows_what_feast_copies_of_them():
    view = a_feature_view("v", features=[a_feature("a"), a_feature("b"), a_feature("c")])
    whole = definition("feature_service", view, a_service(views=[{"name": "v"}])).spec["views"]
    part = definition("feature_service", view, a_service(views=[{"name": "v", "features": ["c", "a"]}])).spec["views"]
    assert whole[0]["features"] == ["a", "b", "c"]
    assert part[0]["features"] == ["c", "a"]
    assert whole[0]["projection"] != part[0]["projection"]


@pytest.mark.parametrize(
    "changes",
    [
        {"features": [a_feature(description="new"), a_feature("x")]},
        {"features": [a_feature(tags={"a": "b"}), a_feature("x")]},
        {"source": a_source(file={"path": "other.parquet"})},
        {"source": a_source(owner="o")},
    ],
)
def test_a_service_changes_with_what_feast_copies_of_a_view(changes):
    service = a_service("s", views=[{"name": "v", "features": ["price"]}])
    before = definition("feature_service", a_feature_view("v", features=[a_feature(), a_feature("x")]), service)
    after = definition(
        "feature_service", a_feature_view("v", **{"features": [a_feature(), a_feature("x")], **changes}), service
    )
    assert after.digest != before.digest


@pytest.mark.parametrize(
    "changes", [{"description": "new"}, {"ttl": "2d"}, {"features": [a_feature(), a_feature("x", description="d")]}]
)
def test_a_service_stays_with_the_rest_of_a_view(changes):
    service = a_service("s", views=[{"name": "v", "features": ["price"]}])
    before = definition("feature_service", a_feature_view("v", features=[a_feature(), a_feature("x")]), service)
    after = definition(
        "feature_service", a_feature_view("v", **{"features": [a_feature(), a_feature("x")], **changes}), service
    )
    assert after.digest == before.digest


# The same input, the same bytes


OBJECTS = [
    a_project(),
    a_feature_view("b", push={"enabled": True}, entities=[an_entity(tags={"x": "1", "y": "2"})]),
    a_feature_view("a", entities=[an_entity("country"), an_entity(tags={"y": "2", "x": "1"})]),
    a_service("s", views=[{"name": "b"}, {"name": "a"}]),
]


def test_the_order_of_the_documents_changes_no_byte():
    texts = {document("feast", defined(*order)) for order in itertools.permutations(OBJECTS)}
    assert len(texts) == 1


def test_definitions_come_in_the_order_of_registration():
    definitions = defined(*OBJECTS)
    assert keys(definitions) == [
        ("project", "feast"),
        ("entity", "commodity"),
        ("entity", "country"),
        ("data_source", "a_source"),
        ("data_source", "b_source"),
        ("data_source", "b_push"),
        ("feature_view", "a"),
        ("feature_view", "b"),
        ("feature_service", "s"),
    ]
    assert [KINDS.index(item.kind) for item in definitions] == sorted(KINDS.index(item.kind) for item in definitions)


def test_each_definition_has_a_digest_of_its_own():
    digests = [item.digest for item in defined(*OBJECTS)]
    assert len(set(digests)) == len(digests)
    assert digests == [item.digest for item in defined(*OBJECTS)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # As Feast compares them: see tests/feast/test_definitions.py.
        ({"entities": [an_entity("a"), an_entity("b")]}, {"entities": [an_entity("b"), an_entity("a")]}, True),
        ({"features": [a_feature("a"), a_feature("b")]}, {"features": [a_feature("b"), a_feature("a")]}, False),
        ({"tags": {"a": "1", "b": "2"}}, {"tags": {"b": "2", "a": "1"}}, True),
        ({"ttl": "1d"}, {"ttl": "24h"}, True),
        ({"owner": "a"}, {"owner": "b"}, False),
    ],
)
def test_a_digest_ignores_the_order_that_feast_ignores(one, other, same):
    digests = {definition("feature_view", a_feature_view(**changes)).digest for changes in (one, other)}
    assert len(digests) == (1 if same else 2)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}], True),
        ([{"name": "a", "features": ["x", "y"]}], [{"name": "a", "features": ["y", "x"]}], False),
    ],
)
def test_a_services_digest_ignores_the_order_that_feast_ignores(one, other, same):
    views = [a_feature_view(name, features=[a_feature("x"), a_feature("y")]) for name in "ab"]
    digests = {definition("feature_service", *views, a_service(views=chosen)).digest for chosen in (one, other)}
    assert len(digests) == (1 if same else 2)


def test_the_projection_ignores_the_order_of_features():
    features = [{"name": "a", "type": "Int64"}, {"name": "b", "type": "Int64"}]
    assert projection_digest(features, {}) == projection_digest(features[::-1], {})


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_canonical_json_is_ascii_and_the_same_for_the_same_value(value):
    text = canonical(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
    assert len(digest(value)) == 64


def test_canonical_json_has_no_number_that_json_lacks():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_the_document_has_one_definition_a_line():
    definitions = [Definition("entity", "e", {"name": "e"}, {"kept": "back"}), Definition("entity", "f", {"name": "f"})]
    text = document("p", definitions)
    assert text.splitlines() == [
        '{"format": 1, "project": "p", "definitions": [',
        '    {"kind": "entity", "spec": {"name": "e"}},',
        '    {"kind": "entity", "spec": {"name": "f"}}',
        "]}",
    ]
    assert json.loads(text)["definitions"][0]["spec"] == {"name": "e"}


def test_a_document_without_definitions_is_json():
    assert json.loads(document("p", [])) == {"format": 1, "project": "p", "definitions": []}
