import pytest

from factories import (
    a_feature,
    a_feature_view,
    a_postgres_source,
    a_source,
    a_spark_source,
    an_entity,
    problems_in,
)
from featureplane.model.feature_view import FeatureView


def test_only_entities_features_and_source_are_required():
    view = FeatureView.model_validate(a_feature_view())
    assert problems_in(a_feature_view()) == []
    assert (view.feast_name, view.source_name, view.push_name) == ("commodity_prices", "commodity_prices_source", None)
    assert view.project_key == ("default", "feast")
    assert (view.spec.entities[0].key, str(view.spec.entities[0].type)) == ("commodity", "String")
    assert (view.spec.ttl, view.spec.online, view.spec.suspend, view.spec.deletion_policy) == (
        None,
        True,
        False,
        "Delete",
    )
    assert (view.spec.materialization.schedule, view.spec.materialization.window) == ("hourly", None)


def test_names_of_its_own():
    view = FeatureView.model_validate(
        a_feature_view(
            feast_name="Prices",
            namespace="lake",
            projectRef={"name": "other", "namespace": "platform"},
            source=a_source(name="s"),
            push={"enabled": True, "name": "p"},
        )
    )
    assert (view.feast_name, view.source_name, view.push_name) == ("Prices", "s", "p")
    assert view.project_key == ("platform", "other")


def test_a_push_source_has_the_views_name_unless_it_says_otherwise():
    assert FeatureView.model_validate(a_feature_view(push={"enabled": True})).push_name == "commodity_prices_push"
    assert FeatureView.model_validate(a_feature_view(push={"name": "p"})).push_name is None


MAPPING = "write its fields below it, indented"
BOOLEAN = "must be true or false, not 7; write true or false, without quotes"


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("entities", 7, "must be a list, not 7; start each item with a dash"),
        ("entities", [], "is empty; write at least one"),
        ("entities", [an_entity(f"e{i}") for i in range(9)], "is longer than 8 entries; shorten it"),
        ("features", {}, "must be a list, not {}; start each item with a dash"),
        ("features", [], "is empty; write at least one"),
        ("features", [a_feature(f"f{i}") for i in range(501)], "is longer than 500 entries; shorten it"),
        ("source", "x.parquet", f"must be a mapping, not 'x.parquet'; {MAPPING}"),
        ("push", True, f"must be a mapping, not true; {MAPPING}"),
        ("projectRef", "feast", f"must be a mapping, not 'feast'; {MAPPING}"),
        ("materialization", "hourly", f"must be a mapping, not 'hourly'; {MAPPING}"),
        ("online", 7, BOOLEAN),
        ("suspend", 7, BOOLEAN),
        ("deletionPolicy", "delete", "'delete' is not allowed here; write Delete or Retain"),
        ("ttl", 7, "must be a duration, not 7; write a number with its unit, like 90m, 2d or 1h30m"),
        (
            "ttl",
            "1 day",
            "'1 day' is not a duration; write days, hours, minutes and seconds in this order, like 90m, 2d or 1h30m",
        ),
        ("ttl", "0s", "'0s' is no time at all; write at least 1s, or leave the field out"),
        ("owner", ["a"], "must be text, not ['a']; write text"),
    ],
)
def test_a_wrong_field_is_refused(field, value, problem):
    assert problems_in(a_feature_view(**{field: value})) == [f"spec.{field}: {problem}"]


@pytest.mark.parametrize("field", ["schedule", "window", "initial"])
def test_wrong_fields_of_materialization_are_refused(field):
    (problem,) = problems_in(a_feature_view(materialization={field: "Every Hour"}))
    assert problem.startswith(f"spec.materialization.{field}: ")


@pytest.mark.parametrize("kind", ["Bool", "Float64", "Array(String)", "Decimal", "Map"])
def test_an_entity_is_of_a_type_that_feast_can_put_into_a_key(kind):
    assert problems_in(a_feature_view(entities=[an_entity(type=kind)])) == [
        (
            f"spec.entities[0].type: {kind} cannot be a key in Feast; "
            "write one of String, Int32, Int64, Bytes, UnixTimestamp"
        )
    ]


TIME = "is a timestamp column of the source as well; choose another name"


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (
            {"features": [a_feature("a"), a_feature("a", "Int64"), a_feature("b"), a_feature("b")]},
            [
                "spec.features[1].name: 'a' stands here a second time, after [0]; keep one of them",
                "spec.features[3].name: 'b' stands here a second time, after [2]; keep one of them",
            ],
        ),
        (
            {"entities": [an_entity("a"), an_entity("a")]},
            ["spec.entities[1].name: 'a' stands here a second time, after [0]; keep one of them"],
        ),
        (
            {"entities": [an_entity("a", joinKey="k"), an_entity("b", joinKey="k")]},
            ["spec.entities[1].joinKey: 'k' is the join key of entities[0] as well; choose another name"],
        ),
        (
            {"entities": [an_entity("a", joinKey="b"), an_entity("b")]},
            ["spec.entities[1].name: 'b' is the join key of entities[0] as well; choose another name"],
        ),
        (
            {"features": [a_feature("x"), a_feature("commodity")]},
            ["spec.features[1].name: 'commodity' is the join key of entities[0] as well; choose another name"],
        ),
        (
            {"features": [a_feature("event_timestamp")]},
            [f"spec.features[0].name: 'event_timestamp' {TIME}"],
        ),
        (
            {"entities": [an_entity(joinKey="made")], "source": a_source(createdTimestampColumn="made")},
            [f"spec.entities[0].joinKey: 'made' {TIME}"],
        ),
        (
            {"features": [a_feature("created_ts")]},
            [
                (
                    "spec.features[0].name: 'created_ts' is a column of Feast's own; "
                    "choose another name, with fieldMapping for the column"
                )
            ],
        ),
        (
            {"source": a_source(fieldMapping={"px": "prise"})},
            [
                (
                    "spec.source.fieldMapping.px: maps to 'prise', which is no feature or join key of this view; "
                    "correct it or take it out"
                )
            ],
        ),
        (
            {"source": a_source(fieldMapping={"price": "commodity"})},
            [
                (
                    "spec.source.fieldMapping.price: 'price' is a feature or join key itself, "
                    "whose values would be gone; "
                    "take it out"
                )
            ],
        ),
        (
            {"source": a_source(fieldMapping={"event_timestamp": "price"})},
            [
                (
                    "spec.source.fieldMapping.event_timestamp: 'event_timestamp' is a timestamp column, "
                    "which would be gone; "
                    "take it out"
                )
            ],
        ),
        (
            {"source": a_postgres_source(), "features": [a_feature("a-b")], "entities": [an_entity("7")]},
            [
                "spec.entities[0].name: '7' is no plain SQL name; with a postgres source use letters, digits and _",
                "spec.features[0].name: 'a-b' is no plain SQL name; with a postgres source use letters, digits and _",
            ],
        ),
        (
            {"source": a_spark_source(), "features": [a_feature("a-b")]},
            ["spec.features[0].name: 'a-b' is no plain SQL name; with a spark source use letters, digits and _"],
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused_where_they_stand(changes, problems):
    assert problems_in(a_feature_view(**changes)) == problems


def test_a_mapping_of_columns_to_features_and_join_keys():
    source = a_source(fieldMapping={"px": "price", "code": "commodity"})
    assert problems_in(a_feature_view(source=source)) == []
