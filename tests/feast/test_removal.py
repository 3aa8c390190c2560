"""What leaves the registry, what stays, and what becomes of the bytes online."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from world import World

from factories import Object, a_feature, a_feature_view, a_project, a_service, a_source, an_entity

VIEW = ("feature_view", "commodity_prices")
SOURCE = ("data_source", "commodity_prices_source")
PUSH = ("data_source", "commodity_prices_push")
ENTITY = ("entity", "commodity")
SERVICE = ("feature_service", "price_model")
PROJECT = ("project", "feast")


def test_nothing_is_removed_without_prune(world: World) -> None:
    world.apply(a_feature_view(), a_service())
    plan = world.apply(a_project())
    assert plan.changes == ()
    assert dict(plan.kept) == dict.fromkeys([VIEW, SOURCE, ENTITY, SERVICE], "not declared; --prune removes it")
    assert world.registered_keys() == {PROJECT, VIEW, SOURCE, ENTITY, SERVICE}


def test_prune_removes_all_that_is_ours_and_unused(world: World) -> None:
    world.apply(a_feature_view(push={"enabled": True}), a_service())
    plan = world.apply(a_project(), prune=True)
    assert [(change.action, change.key) for change in plan.changes] == [
        ("remove", key) for key in (SERVICE, VIEW, PUSH, SOURCE, ENTITY)
    ]
    assert world.registered_keys() == {PROJECT}
    assert world.plan(a_project(), prune=True).is_empty


def test_feast_itself_has_none_of_it_any_more(world: World) -> None:
    world.apply(a_feature_view(push={"enabled": True}), a_service())
    world.apply(a_project(), prune=True)
    feast = world.sdk()
    assert feast.list_feature_views() == []
    assert feast.list_feature_services() == []
    assert feast.list_data_sources() == []
    assert [entity.name for entity in feast.list_entities() if entity.name != "__dummy"] == []


def test_a_push_source_goes_when_push_is_disabled(world: World) -> None:
    world.apply(a_feature_view(push={"enabled": True}))
    plan = world.apply(a_feature_view(), prune=True)
    assert [(change.action, change.key) for change in plan.changes] == [("change", VIEW), ("remove", PUSH)]
    assert PUSH not in world.registered_keys()


def test_a_source_goes_when_the_view_has_another(world: World) -> None:
    world.apply(a_feature_view())
    world.apply(a_feature_view(source=a_source(name="another")), prune=True)
    assert SOURCE not in world.registered_keys()


def test_a_view_with_retain_stays_with_all_that_it_needs(world: World) -> None:
    world.apply(a_feature_view(deletionPolicy="Retain"))
    plan = world.apply(a_project(), prune=True)
    assert plan.changes == ()
    assert dict(plan.kept) == {
        VIEW: "its deletionPolicy is Retain",
        SOURCE: "in use by commodity_prices",
        ENTITY: "in use by commodity_prices",
    }


def test_a_view_that_a_service_of_feasts_uses_stays(world: World) -> None:
    world.apply(a_feature_view())
    _register_with_feast(world, "service")
    plan = world.apply(a_project(), prune=True)
    assert dict(plan.kept)[VIEW] == "in use by by_hand"
    assert VIEW in world.registered_keys()


def test_a_source_that_a_view_of_feasts_uses_stays(world: World) -> None:
    world.apply(a_feature_view())
    _register_with_feast(world, "view")
    world.apply(a_project(), prune=True)
    assert world.registered_keys() == {PROJECT, SOURCE, ENTITY, ("feature_view", "by_hand")}


def test_what_feast_alone_registered_stays(world: World) -> None:
    world.registered()
    _register_with_feast(world, "view")
    before = world.registered_keys()
    world.apply(a_feature_view("other"))
    world.apply(a_project(), prune=True)
    assert world.registered_keys() == before
    assert ("feature_view", "by_hand") in before


def test_what_was_adopted_is_ours_to_remove(world: World) -> None:
    assert world.feast("apply", folder=world.repo(a_feature_view())).returncode == 0
    world.apply(a_feature_view())
    world.apply(a_project(), prune=True)
    assert world.registered_keys() == {PROJECT}


def _register_with_feast(world: World, what: str) -> None:
    """Something by hand, on the entity and the source of `a_feature_view()`."""
    from feast.types import Float64, String
    from feast.value_type import ValueType

    from feast import Entity, FeatureService, FeatureView, Field, FileSource

    store = world.sdk()
    if what == "service":
        store.apply([FeatureService(name="by_hand", features=[store.get_feature_view("commodity_prices")])])
        return
    entity = Entity(name="commodity", join_keys=["commodity"], value_type=ValueType.STRING)
    source = FileSource(name="commodity_prices_source", path="prices.parquet", timestamp_field="event_timestamp")
    schema = [Field(name="commodity", dtype=String), Field(name="price", dtype=Float64)]
    store.apply(
        [FeatureView(name="by_hand", entities=[entity], source=source, schema=schema, ttl=timedelta(0)), entity]
    )


class TestPurges:
    """The rows of `featureplane.purges`: what to delete online, and when."""

    @pytest.fixture
    def world(self, world: World) -> Iterator[World]:
        world.apply(*self.declared(a=a_feature("a", "Int64"), b=a_feature("b", "String")))
        return world

    @staticmethod
    def declared(entity: Object | None = None, **features: Object) -> list[Object]:
        return [a_project(), a_feature_view(entities=[entity or an_entity()], features=list(features.values()))]

    @staticmethod
    def purges(world: World) -> dict[tuple[str, str], str]:
        """View and feature of each purge, and whether it is pending or cancelled."""
        rows = world.query("SELECT view, feature, cancelled_at IS NULL, done_at FROM featureplane.purges ORDER BY id")
        return {(view, feature): "pending" if pending else "cancelled" for view, feature, pending, _ in rows}

    def test_a_removed_feature_is_to_be_purged(self, world: World) -> None:
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        assert self.purges(world) == {("commodity_prices", "b"): "pending"}

    def test_a_removed_view_is_to_be_purged_with_all_its_features(self, world: World) -> None:
        world.apply(a_project(), prune=True)
        assert self.purges(world) == dict.fromkeys([("commodity_prices", name) for name in ("a", "b", "")], "pending")

    def test_a_purge_is_due_after_the_projects_time(self, world: World) -> None:
        project = a_project(purgeAfter="3h")
        writer = world.writer(world.declarations(project).project)
        writer.apply(world.plan(project, prune=True))
        ((wait,),) = world.query("SELECT DISTINCT due_at - requested_at FROM featureplane.purges")
        assert wait == timedelta(hours=3)

    def test_a_feature_that_comes_back_keeps_its_bytes(self, world: World) -> None:
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        world.apply(*self.declared(a=a_feature("a", "Int64"), b=a_feature("b", "String")))
        assert self.purges(world) == {("commodity_prices", "b"): "cancelled"}

    def test_a_view_that_comes_back_keeps_its_bytes(self, world: World) -> None:
        world.apply(a_project(), prune=True)
        world.apply(*self.declared(a=a_feature("a", "Int64"), b=a_feature("b", "String")))
        assert set(self.purges(world).values()) == {"cancelled"}

    def test_a_view_that_comes_back_without_a_feature_leaves_that_ones_purge(self, world: World) -> None:
        world.apply(a_project(), prune=True)
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        assert self.purges(world) == {
            ("commodity_prices", "a"): "cancelled",
            ("commodity_prices", "b"): "pending",
            ("commodity_prices", ""): "cancelled",
        }

    def test_a_view_that_comes_back_with_other_keys_leaves_the_old_bytes_purge(self, world: World) -> None:
        world.apply(a_project(), prune=True)
        world.apply(*self.declared(an_entity("other"), a=a_feature("a", "Int64")))
        assert set(self.purges(world).values()) == {"pending"}

    def test_a_feature_cannot_come_back_as_another_type_while_its_purge_is_pending(self, world: World) -> None:
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        plan = world.plan(*self.declared(a=a_feature("a", "Int64"), b=a_feature("b", "Float64")))
        (refusal,) = plan.refused
        assert "'b' was removed as String" in refusal

    def test_a_view_cannot_come_back_with_another_type_while_its_purge_is_pending(self, world: World) -> None:
        world.apply(a_project(), prune=True)
        (refusal,) = world.plan(*self.declared(a=a_feature("a", "Float64"))).refused
        assert "'a' was removed as Int64" in refusal

    @pytest.mark.parametrize("how", ["done_at", "cancelled_at"])
    def test_a_feature_comes_back_as_another_type_once_its_bytes_are_gone(self, world: World, how: str) -> None:
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        with world.sql() as connection:
            connection.execute(f"UPDATE featureplane.purges SET {how} = now()")
        plan = world.apply(*self.declared(a=a_feature("a", "Int64"), b=a_feature("b", "Float64")))
        assert plan.refused == ()

    def test_a_purge_says_where_the_bytes_are(self, world: World) -> None:
        world.apply(*self.declared(a=a_feature("a", "Int64")))
        ((kind, body),) = world.query("SELECT type, body::jsonb FROM featureplane.purges")
        assert kind == "String"
        assert body == {"entities": [{"name": "commodity", "join_key": "commodity", "type": "String"}]}

    def test_a_view_that_feast_removed_is_purged_when_it_is_declared_no_more(self, world: World) -> None:
        world.sdk().delete_feature_view("commodity_prices")
        plan = world.apply(a_project(), prune=True)
        assert VIEW in {change.key for change in plan.changes}
        assert set(self.purges(world)) == {("commodity_prices", name) for name in ("a", "b", "")}
        assert world.plan(a_project(), prune=True).is_empty


def test_removing_twice_is_removing_once(world: World) -> None:
    world.apply(a_feature_view())
    plan: Any = world.plan(a_project(), prune=True)
    world.the_writer.apply(plan)
    before = world.rows()
    world.the_writer.apply(plan)
    assert world.rows() == before
