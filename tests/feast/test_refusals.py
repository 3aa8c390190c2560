"""Changes that would make bytes unreadable, or take what is somebody else's, are refused whole."""

from typing import Any

import pytest
from world import World

from factories import Object, a_feature, a_feature_view, an_entity
from featureplane.errors import PlanRefused

BEFORE = [
    a_feature_view(entities=[an_entity(joinKey="code")]),
    a_feature_view("other", entities=[an_entity("other_entity")]),
]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([a_feature_view(entities=[an_entity(joinKey="code")], features=[a_feature(type="Int64")])], "type of 'price'"),
        (
            [a_feature_view(entities=[an_entity(joinKey="code")], features=[a_feature(type="Array(Float64)")])],
            "type of",
        ),
        ([a_feature_view(entities=[an_entity("another")])], "entities are immutable"),
        ([a_feature_view(entities=[an_entity(joinKey="code"), an_entity("more")])], "entities are immutable"),
        ([a_feature_view(entities=[an_entity(joinKey="key")])], "join_key is immutable"),
        ([a_feature_view(entities=[an_entity(joinKey="code", type="Int64")])], "type is immutable"),
    ],
    ids=["type", "array of it", "another entity", "one more entity", "join key", "key's type"],
)
def test_a_refused_plan_writes_nothing(world: World, objects: list[Object], words: str) -> None:
    world.apply(*BEFORE)
    before = world.rows()
    plan = world.plan(*objects, a_feature_view("new", entities=[an_entity("new_entity")]))
    with pytest.raises(PlanRefused, match=words):
        world.the_writer.apply(plan)
    assert world.rows() == before


def test_every_refusal_is_said(world: World) -> None:
    world.apply(*BEFORE)
    plan = world.plan(
        a_feature_view(entities=[an_entity(joinKey="code")], features=[a_feature(type="Int64")]),
        a_feature_view("other", entities=[an_entity("other_entity")], features=[a_feature(type="String")]),
    )
    assert len(plan.refused) == 2


@pytest.mark.parametrize(
    "changes",
    [{"offline": True}, {"enable_validation": True}, {"version": "v0"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_view_of_feasts_that_cannot_be_declared_is_not_overwritten(world: World, changes: dict[str, Any]) -> None:
    from feast.types import Float64, String
    from feast.value_type import ValueType

    from feast import Entity, FeatureView, Field, FileSource

    entity = Entity(name="commodity", join_keys=["commodity"], value_type=ValueType.STRING)
    source = FileSource(name="s", path="prices.parquet", timestamp_field="event_timestamp")
    schema = [Field(name="commodity", dtype=String), Field(name="price", dtype=Float64)]
    world.registered()
    world.sdk().apply(
        [entity, FeatureView(name="commodity_prices", entities=[entity], source=source, schema=schema, **changes)]
    )
    (refusal,) = world.plan(a_feature_view()).refused
    assert "feature view 'commodity_prices' is registered in Feast in a form that cannot be declared" in refusal
