"""Each change of a registered object is planned, written, read back, and leaves nothing to plan."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from world import World

from factories import Object, a_feature, a_feature_view, a_postgres_source, a_project, a_service, a_source, an_entity
from featureplane.registry import writer as writer_module
from featureplane.rendering.definitions import Key

VIEW = ("feature_view", "commodity_prices")
SERVICE = ("feature_service", "price_model")
SOURCE = ("data_source", "commodity_prices_source")
PUSH = ("data_source", "commodity_prices_push")
ENTITY = ("entity", "commodity")

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Case(NamedTuple):
    """What is registered, what is declared then, and what of it is changed and added."""

    before: Sequence[Object]
    after: Sequence[Object]
    changed: AbstractSet[Key]
    added: AbstractSet[Key] = frozenset()


def of_view(
    changed: AbstractSet[Key], before: dict[str, Any], after: dict[str, Any], added: AbstractSet[Key] = frozenset()
) -> Case:
    """A view that changes under a service."""
    return Case([a_feature_view(**before), a_service()], [a_feature_view(**after), a_service()], changed, added)


def with_price(**changes: Any) -> dict[str, Any]:
    return {"features": [a_feature(**changes), a_feature("volume", "Int64")]}


CASES = {
    "ttl": of_view({VIEW}, {}, {"ttl": "2d"}),
    "no ttl any more": of_view({VIEW}, {"ttl": "2d"}, {}),
    "description": of_view({VIEW}, {"description": "old"}, {"description": "new"}),
    "owner": of_view({VIEW}, {}, {"owner": "markets@example.com"}),
    "tags": of_view({VIEW}, {"tags": {"a": "1", "b": "2"}}, {"tags": {"b": "3"}}),
    "online": of_view({VIEW}, {}, {"online": False}),
    "order of features": of_view({VIEW, SERVICE}, with_price(), {"features": with_price()["features"][::-1]}),
    "order of entities": of_view(
        set(), {"entities": [an_entity(), an_entity("a")]}, {"entities": [an_entity("a"), an_entity()]}
    ),
    "order of a service's views": Case(
        [a_feature_view(), a_feature_view("a"), a_service(views=[{"name": "commodity_prices"}, {"name": "a"}])],
        [a_feature_view(), a_feature_view("a"), a_service(views=[{"name": "a"}, {"name": "commodity_prices"}])],
        set(),
    ),
    "feature added": of_view({VIEW, SERVICE}, {}, with_price()),
    "feature removed": of_view({VIEW, SERVICE}, with_price(), {}),
    "feature described": of_view({VIEW, SERVICE}, with_price(), with_price(description="in dollars")),
    "feature tagged": of_view({VIEW, SERVICE}, with_price(), with_price(tags={"unit": "dollar"})),
    "source path": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(file={"path": "other.parquet"})}),
    "source format": of_view(
        {SOURCE, VIEW, SERVICE}, {}, {"source": a_source(file={"path": "prices.parquet", "format": "delta"})}
    ),
    "source description": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(description="new")}),
    "source tags": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(tags={"a": "b"})}),
    "timestamp field": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(timestampField="ts")}),
    "created column": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(createdTimestampColumn="created")}),
    "field mapping": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_source(fieldMapping={"px": "price"})}),
    "postgres table": of_view(
        {SOURCE, VIEW, SERVICE}, {"source": a_postgres_source("prices")}, {"source": a_postgres_source("lake.prices")}
    ),
    "postgres table under push": of_view(
        {SOURCE, VIEW, SERVICE},
        {"source": a_postgres_source("prices"), "push": {"enabled": True}},
        {"source": a_postgres_source("lake.prices"), "push": {"enabled": True}},
    ),
    "file to postgres": of_view({SOURCE, VIEW, SERVICE}, {}, {"source": a_postgres_source()}),
    "postgres to file": of_view({SOURCE, VIEW, SERVICE}, {"source": a_postgres_source()}, {}),
    "source renamed": of_view({VIEW, SERVICE}, {}, {"source": a_source(name="another")}, {("data_source", "another")}),
    "push enabled": of_view({VIEW}, {}, {"push": {"enabled": True}}, {PUSH}),
    "push disabled": of_view({VIEW}, {"push": {"enabled": True}}, {}),
    "source path under push": of_view(
        {SOURCE, VIEW, SERVICE},
        {"push": {"enabled": True}},
        {"push": {"enabled": True}, "source": a_source(file={"path": "other.parquet"})},
    ),
    "entity described": of_view({ENTITY}, {}, {"entities": [an_entity(description="gold, say", tags={"a": "b"})]}),
    "schedule": of_view({VIEW}, {}, {"materialization": {"schedule": "daily"}}),
    "checks": of_view({VIEW}, {}, {"features": [a_feature(checks={"minimum": 0})]}),
    "project described": Case(
        [a_project(), a_feature_view()], [a_project(description="prices"), a_feature_view()], {("project", "feast")}
    ),
    "service described": Case(
        [a_feature_view(), a_service()], [a_feature_view(), a_service(description="new")], {SERVICE}
    ),
    "service of another view": Case(
        [a_feature_view(), a_feature_view("other"), a_service()],
        [a_feature_view(), a_feature_view("other"), a_service(views=[{"name": "other"}])],
        {SERVICE},
    ),
    "service of fewer features": Case(
        [a_feature_view(**with_price()), a_service()],
        [a_feature_view(**with_price()), a_service(views=[{"name": "commodity_prices", "features": ["volume"]}])],
        {SERVICE},
    ),
    "feature that the service does not use": Case(
        [a_feature_view(), a_service(views=[{"name": "commodity_prices", "features": ["price"]}])],
        [a_feature_view(**with_price()), a_service(views=[{"name": "commodity_prices", "features": ["price"]}])],
        {VIEW},
    ),
    "source that two views share": Case(
        [a_feature_view(source=a_source(name="s")), a_feature_view("other", source=a_source(name="s"))],
        [
            a_feature_view(source=a_source(name="s", tags={"a": "b"})),
            a_feature_view("other", source=a_source(name="s", tags={"a": "b"})),
        ],
        {("data_source", "s"), VIEW, ("feature_view", "other")},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_change_is_planned_written_and_read_back(world: World, case: Case) -> None:
    world.apply(*case.before)
    plan = world.apply(*case.after)
    assert {change.key for change in plan.changes if change.action == "change"} == case.changed
    assert {change.key for change in plan.changes if change.action == "add"} == case.added
    registered = world.registered().definitions
    for item in world.definitions(*case.after):
        assert registered[item.key].digest == item.digest
    left = world.plan(*case.after)
    assert (left.changes, left.adopted, left.refused) == ((), (), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": "3d"},
        with_price(),
        {"source": a_postgres_source("lake.prices")},
        {"source": a_postgres_source("lake.prices"), "push": {"enabled": True}},
        {"source": a_source(file={"path": "other.parquet"})},
        {"materialization": {"schedule": "daily"}},
    ],
    ids=["ttl", "feature added", "postgres table", "postgres table and push", "another source", "schedule"],
)
def test_windows_that_feast_knows_survive_a_change(world: World, changes: dict[str, Any]) -> None:
    before = a_feature_view(source=a_postgres_source("prices"))
    world.apply(before)
    feast = world.sdk()
    feast.registry.apply_materialization(feast.get_feature_view("commodity_prices"), "feast", START, END)
    world.apply(a_feature_view(**{"source": a_postgres_source("prices"), **changes}))
    view = world.sdk().get_feature_view("commodity_prices")
    assert view.materialization_intervals == [(START, END)]


def test_a_change_of_what_only_we_keep_leaves_feasts_rows_alone(world: World) -> None:
    world.apply(a_feature_view())
    feast = world.sdk()
    feast.registry.apply_materialization(feast.get_feature_view("commodity_prices"), "feast", START, END)
    before = world.feasts_rows()
    world.apply(a_feature_view(materialization={"schedule": "daily"}, features=[a_feature(checks={"minimum": 0})]))
    assert world.feasts_rows() == before


def test_applying_nothing_starts_no_process(world: World) -> None:
    world.apply(a_feature_view())
    writer = world.writer()
    assert writer.apply(world.plan(a_feature_view())) == {"written": 0, "removed": 0, "adopted": 0}
    assert writer.pid is None


def test_one_change_among_many_views_writes_that_one_alone(world: World) -> None:
    views = [a_feature_view(f"v{number}") for number in range(30)]
    world.apply(*views)
    before = world.rows()
    views[7] = a_feature_view("v7", description="new")
    world.apply(*views)
    after = world.rows()
    changed = set(after["public.feature_views"]) ^ set(before["public.feature_views"])
    assert {row[0] for row in changed} == {"v7"}
    assert len(after["featureplane.changes"]) == len(before["featureplane.changes"]) + 1


def test_changes_are_kept_in_order(world: World) -> None:
    world.apply(a_feature_view())
    world.apply(a_feature_view(ttl="1d"))
    world.apply(a_project(), prune=True)
    actions = world.query("SELECT kind, name, action FROM featureplane.changes ORDER BY seq")
    assert actions == [
        ("project", "feast", "add"),
        ("entity", "commodity", "add"),
        ("data_source", "commodity_prices_source", "add"),
        ("feature_view", "commodity_prices", "add"),
        ("feature_view", "commodity_prices", "change"),
        ("feature_view", "commodity_prices", "remove"),
        ("data_source", "commodity_prices_source", "remove"),
        ("entity", "commodity", "remove"),
    ]


class TestChangedBySomebodyElse:
    def test_a_view_that_feast_apply_changed_is_changed_back(self, world: World) -> None:
        world.apply(a_feature_view(description="ours"))
        assert world.feast("apply", folder=world.repo(a_feature_view(description="theirs"))).returncode == 0
        plan = world.apply(a_feature_view(description="ours"))
        assert [change.key for change in plan.changes] == [VIEW]
        assert world.spec(*VIEW)["description"] == "ours"

    def test_a_change_of_theirs_that_is_declared_too_is_noted(self, world: World) -> None:
        world.apply(a_feature_view(description="ours"))
        assert world.feast("apply", folder=world.repo(a_feature_view(description="theirs"))).returncode == 0
        plan = world.apply(a_feature_view(description="theirs"))
        assert (plan.changes, [item.key for item in plan.adopted]) == ((), [VIEW])
        assert not world.plan(a_feature_view(description="theirs")).adopted

    def test_a_view_that_feast_removed_is_written_again(self, world: World) -> None:
        world.apply(a_feature_view())
        world.sdk().delete_feature_view("commodity_prices")
        plan = world.apply(a_feature_view())
        assert [(change.action, change.key) for change in plan.changes] == [("add", VIEW)]
        assert VIEW in world.registered_keys()

    def test_a_view_whose_row_was_deleted_by_hand_is_written_again(self, world: World) -> None:
        world.apply(a_feature_view(), a_feature_view("other"))
        with world.sql() as connection:
            connection.execute("DELETE FROM feature_views WHERE feature_view_name = 'commodity_prices'")
        world.apply(a_feature_view(), a_feature_view("other"))
        assert world.plan(a_feature_view(), a_feature_view("other")).is_empty
        versions = world.query("SELECT feature_view_name, version_number FROM feature_view_version_history")
        assert sorted(versions) == [("commodity_prices", 0), ("other", 0)]

    def test_a_view_that_feast_removed_cannot_come_back_as_another_type(self, world: World) -> None:
        world.apply(a_feature_view())
        world.sdk().delete_feature_view("commodity_prices")
        (refusal,) = world.plan(a_feature_view(features=[a_feature(type="Int64")])).refused
        assert "the type of 'price' is immutable" in refusal

    def test_a_new_owner_is_noted_without_a_change(self, world: World) -> None:
        world.apply(a_feature_view())
        moved = a_feature_view("another-object", feast_name="commodity_prices")
        plan = world.apply(moved)
        assert (plan.changes, [item.key for item in plan.adopted]) == ((), [VIEW])
        assert world.registered().definitions[VIEW].owner == "default/another-object"


def test_a_project_with_other_engines_than_this_machine_has_is_registered(world: World) -> None:
    project = a_project(offlineStore={"type": "ray"}, batchEngine={"type": "spark.engine"})
    writer = world.writer(world.declarations(project).project)
    writer.apply(world.plan(project, a_feature_view()))
    assert world.plan(project, a_feature_view()).is_empty


def test_a_plan_of_many_requests_is_written_as_a_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source that changes and the view that holds a copy of it may stand in different requests."""
    kept = [a_feature_view(f"v{number}") for number in range(4)]
    world.apply(*kept, a_feature_view("gone"))
    monkeypatch.setattr(writer_module, "_MOST_AT_ONCE", 2)
    changed = [a_feature_view(f"v{number}", source=a_source(file={"path": "other.parquet"})) for number in range(4)]
    plan = world.plan(*changed, a_feature_view("new"), prune=True)
    told: list[tuple[int, int]] = []
    done = world.the_writer.apply(plan, lambda *numbers: told.append(numbers))
    assert done == {"written": 10, "removed": 2, "adopted": 0}
    assert told == sorted(told)
    assert told[-1] == (12, 12)
    assert world.plan(*changed, a_feature_view("new"), prune=True).changes == ()
    world.assert_nothing_is_half_done()
