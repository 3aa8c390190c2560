"""Who changed what and when: noted with the change itself, by whom it was, and changed by nobody afterwards."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from world import World

from factories import a_feature, a_feature_view, a_service, an_entity
from featureplane.cli import history as command
from featureplane.errors import FeatureplaneError, Fenced
from featureplane.registry import audit
from featureplane.registry.actor import Actor, actors_of
from featureplane.registry.audit import Entry, Wanted
from featureplane.registry.database import begin
from featureplane.registry.plan import FieldChange

VIEW = "feature_view"
ANN = Actor("ann", "featureplane operator", "default/commodity-prices", "u-1", "7", 3)


def history(world: World, **wanted: Any) -> list[Entry]:
    with begin(world.engine, world.stores.postgres) as connection:
        return audit.read(connection, Wanted(**wanted))


def of_the_view(world: World) -> list[tuple[str, tuple[FieldChange, ...]]]:
    return [(entry.action, entry.fields) for entry in history(world, kinds=[VIEW])]


def test_each_change_is_noted_with_what_became_of_what(world: World) -> None:
    world.apply(a_feature_view(ttl="2d"))
    world.apply(a_feature_view(ttl="1d", owner="ann@example.com"))
    world.apply(a_feature_view(ttl="1d", owner="ann@example.com"))
    world.apply(prune=True)
    changed = (FieldChange("owner", "", "ann@example.com"), FieldChange("ttl_seconds", 172800, 86400))
    assert of_the_view(world) == [("remove", ()), ("change", changed), ("add", ())]
    removed, changed_entry, added = history(world, kinds=[VIEW])
    assert (added.digest_before, removed.digest_after) == (None, None)
    assert added.digest_after == changed_entry.digest_before
    assert removed.digest_before == changed_entry.digest_after
    assert removed.definition.spec["owner"] == "ann@example.com"
    assert added.at <= changed_entry.at <= removed.at
    assert {entry.kind for entry in history(world)} == {VIEW, "project", "entity", "data_source"}


def test_a_feature_that_is_added_is_a_change(world: World) -> None:
    world.apply(a_feature_view())
    world.apply(a_feature_view(features=[a_feature(), a_feature("volume")]))
    assert [action for action, _ in of_the_view(world)] == ["change", "add"]


def test_a_view_that_is_only_written_again_for_its_source_has_not_changed(world: World) -> None:
    source = a_feature_view()["spec"]["source"]
    world.apply(a_feature_view())
    world.apply(a_feature_view(source={**source, "description": "of the exchange"}))
    assert [action for action, _ in of_the_view(world)] == ["add"]
    assert [entry.action for entry in history(world, kinds=["data_source"])] == ["change", "add"]


def test_what_feast_registered_before_is_adopted(world: World) -> None:
    view = a_feature_view()
    assert world.feast("apply", folder=world.repo(view)).returncode == 0
    world.apply(view)
    assert [action for action, _ in of_the_view(world)] == ["adopt"]


def test_what_somebody_else_wrote_shows_as_what_it_was(world: World) -> None:
    world.apply(a_feature_view())
    store = world.sdk()
    view = store.get_feature_view("commodity_prices")
    view.description = "theirs"
    store.registry.apply_feature_view(view, "feast")
    world.apply(a_feature_view())
    assert of_the_view(world)[0] == ("change", (FieldChange("description", "theirs", ""),))


def test_each_change_is_of_whom_the_writer_was_told(world: World) -> None:
    objects = [a_feature_view(), a_feature_view("other", entities=[an_entity("driver")]), a_service()]
    plan = world.plan(*objects)
    known = {(VIEW, "default/commodity-prices"): ANN}
    world.the_writer.apply(plan, actors=actors_of(plan, known))
    by = {(entry.kind, entry.name): entry.by for entry in history(world)}
    assert by[VIEW, "commodity_prices"] == by["entity", "commodity"] == ANN
    assert by["data_source", "commodity_prices_source"] == ANN
    others = {by[VIEW, "other"], by["entity", "driver"], by["feature_service", "price_model"]}
    assert {(actor.via, actor.object) for actor in others} == {("featureplane", "")}
    assert world.the_writer.actor in others


def test_who_removed_an_object_is_not_who_wrote_it_last(world: World) -> None:
    world.apply(a_feature_view())
    plan = world.plan(prune=True)
    world.the_writer.apply(plan, actors=actors_of(plan, {(VIEW, "default/commodity-prices"): ANN}))
    assert history(world, kinds=[VIEW])[0].by == Actor("", ANN.via, ANN.object, ANN.uid, "7", 3)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE featureplane.audit SET manager = 'nobody'",
        "DELETE FROM featureplane.audit",
        "DELETE FROM featureplane.audit WHERE kind = 'feature_view'",
        "TRUNCATE featureplane.audit",
        "INSERT INTO featureplane.audit SELECT * FROM featureplane.audit ON CONFLICT (id) DO UPDATE SET manager = 'x'",
    ],
)
def test_the_database_refuses_to_change_what_was_noted(world: World, statement: str) -> None:
    world.apply(a_feature_view())
    before = world.rows()["featureplane.audit"]
    with world.sql() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="is only added to"):
        connection.execute(statement)
    assert world.rows()["featureplane.audit"] == before


def test_a_role_that_may_read_our_schema_does_not_read_or_write_it_without_leave(world: World) -> None:
    world.apply(a_feature_view())
    with world.sql() as connection:
        connection.execute("CREATE ROLE nosy_audit_reader; GRANT USAGE ON SCHEMA featureplane TO nosy_audit_reader")
        try:
            connection.execute("SET ROLE nosy_audit_reader")
            for statement in ("SELECT * FROM featureplane.audit", "INSERT INTO featureplane.audit DEFAULT VALUES"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        finally:
            connection.execute("RESET ROLE")
            connection.execute("REVOKE USAGE ON SCHEMA featureplane FROM nosy_audit_reader")
            connection.execute("DROP ROLE nosy_audit_reader")


def test_what_is_not_written_is_not_noted(world: World) -> None:
    world.apply(a_feature_view())
    before = history(world)
    plan = world.plan(a_feature_view(ttl="1d"))
    world.writer().open()
    with pytest.raises(Fenced):
        world.the_writer.apply(plan)
    assert history(world) == before


def test_rows_of_one_name_kind_and_time_are_found(world: World) -> None:
    world.apply(a_feature_view(), a_service())
    (first, *_) = everything = history(world)
    assert [entry.name for entry in history(world, name="price_model")] == ["price_model"]
    assert history(world, project="other") == []
    assert history(world, since=first.at) == [entry for entry in everything if entry.at >= first.at]
    assert history(world, most=2) == everything[:2]
    assert history(world, ids=[first.id]) == [first]


@pytest.fixture
def shown(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says in the world's environment."""
    environment = {"FEATUREPLANE_STORES": "environment", **world.stores.environment()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(**options: Any) -> str:
        capsys.readouterr()
        command.history(**options)
        return capsys.readouterr().out

    return run


def test_the_command_tells_of_each_change_the_newest_first(world: World, shown: Callable[..., str]) -> None:
    assert shown() == "no change is noted\n"
    world.apply(a_feature_view(ttl="2d"), a_service())
    world.apply(a_feature_view(ttl="1d"), a_service())
    head, changed_line, added_line = shown(of="view/commodity_prices", since="1h").splitlines()
    assert head.split() == ["ID", "WHEN", "PROJECT", "CHANGE", "OBJECT", "WHO", "VIA", "WHAT"]
    assert " change " in changed_line
    assert "ttl_seconds: 172800 -> 86400" in changed_line
    assert world.the_writer.actor.manager in changed_line
    assert " add " in added_line
    changed, added = json.loads(shown(of="fv/commodity_prices", as_json=True))
    assert changed["fields"] == [{"path": "ttl_seconds", "before": 172800, "after": 86400}]
    assert changed["digestBefore"] == added["digestAfter"]
    between = shown(between=(changed["id"], added["id"]))
    assert between.splitlines()[1:] == ["  ttl_seconds: 172800 -> 86400"]
    (other,) = json.loads(shown(of="service/price_model", as_json=True))
    with pytest.raises(FeatureplaneError, match="name two changes of one object"):
        shown(between=(changed["id"], other["id"]))
    with pytest.raises(FeatureplaneError, match="there is no change 999"):
        shown(between=(changed["id"], 999))
    assert shown(of="nothing", since="2026-01-01") == "no change is noted of nothing since 2026-01-01\n"
    assert shown(project="other") == "no change is noted in the project other\n"


def test_a_database_without_the_table_has_no_history(bare_world: World) -> None:
    bare_world.registered()
    assert history(bare_world) == []
