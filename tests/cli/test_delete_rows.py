"""`featureplane delete-rows` as a user runs it: the rows of some entities go, of one view or of all."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cli.driver_rows import DRIVER, ROUTES, STATS, driver_rows
from factories import a_feature, a_feature_view, a_source, an_entity, to_yaml
from featureplane.entities import by_hand
from featureplane.materialization import lock
from featureplane.online.connect import connect
from featureplane.online.layout import fields_of
from featureplane.registry.database import engine_for
from featureplane.serving.reading.entity_keys import KeyMaker

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)

# What their rows have in Redis: a view was deleted, and a feature removed, and neither was purged yet.
VIEWS = {
    "driver_stats": ["trips", "rating"], "driver_more": ["trips", "rating"], "driver_gone": ["trips"],
}  # fmt: skip


TOWN = a_feature_view(
    "town-gone",
    entities=[an_entity("town")],
    features=[a_feature("rides", "Int64")],
    source=a_source(file={"path": "routes.parquet"}, fieldMapping={"city": "town"}),
    online=True,
)


def a_view(name: str, *features: str) -> dict[str, Any]:
    source = a_source(file={"path": "stats.parquet"})
    columns = [a_feature(each, "Int64") for each in features]
    return a_feature_view(name, entities=[DRIVER], features=columns, source=source, online=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with driver_rows(tmp_path_factory.mktemp("rows")) as (place, stores):
        before = [a_view("driver-more", "trips", "rating"), a_view("driver-gone", "trips"), TOWN]
        for views in (before, [a_view("driver-more", "trips")]):
            place.write("feast.yaml", to_yaml(STATS, ROUTES, *views))
            ran = place("apply", "feast.yaml", "--prune")
            assert ran.status == 0, ran.err
        yield SimpleNamespace(place=place, stores=stores)


@pytest.fixture
def run(found, featureplane, monkeypatch) -> Callable[..., Any]:
    """Commands in this process on the module's stores, in which all drivers have a row of each view."""
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(found.place.state))
    monkeypatch.setenv("FEATUREPLANE_DATA_ROOT", str(found.place.folder / "data"))
    with connect(found.stores.redis) as client:
        client.flushdb()
        for driver in range(1, 6):
            for view, features in VIEWS.items():
                client.hset(key(driver), mapping=dict.fromkeys(fields_of(view, features), b"v"))
        client.hset(route(1, "Rome"), mapping=dict.fromkeys(fields_of("route_stats", ["rides"]), b"v"))
        found.redis = client

        def run(command, *arguments):
            files = [] if command == "history" else [found.place.folder / "feast.yaml"]
            return featureplane(command, *files, *arguments)

        yield run


def key(driver: int) -> bytes:
    return KeyMaker([("driver_id", "Int64")], "feast").keys([[driver]])[0]


def town(name: str) -> bytes:
    return KeyMaker([("town", "String")], "feast").keys([[name]])[0]


def route(driver: int, city: str) -> bytes:
    return KeyMaker([("driver_id", "Int64"), ("city", "String")], "feast").keys([[city], [driver]])[0]


def rows(found) -> dict[int, set[str]]:
    """The views that have a whole row of each driver; half of one fails."""
    left: dict[int, set[str]] = {}
    for driver in range(1, 6):
        there = set(found.redis.hkeys(key(driver)))
        for view, features in VIEWS.items():
            fields = fields_of(view, features)
            assert not there & fields or there >= fields
            if there & fields:
                left.setdefault(driver, set()).add(view)
    return left


def said(ran) -> Any:
    assert ran.status == 0, ran.err
    return {each["view"]: (each["rows"], each["fields"]) for each in json.loads(ran.out)}


def test_the_rows_of_one_view_go_and_no_others_change(found, run):
    before = {driver: found.redis.hgetall(key(driver)) for driver in range(1, 6)}
    ran = run("delete-rows", "--view", "driver_stats", "-e", "driver_id=1,2,77", "--yes", "--json")
    assert said(ran) == {"driver_stats": (2, 6)}
    assert "a run that finds them there brings them back" not in ran.out
    gone = fields_of("driver_stats", VIEWS["driver_stats"])
    for driver in range(1, 6):
        kept = {name: value for name, value in before[driver].items() if driver > 2 or name not in gone}
        assert found.redis.hgetall(key(driver)) == kept


def test_what_a_removed_feature_has_left_goes_with_its_view(found, run):
    assert said(run("delete-rows", "--view", "driver_more", "-e", "driver_id=3", "--yes", "--json")) == {
        "driver_more": (1, 3)
    }
    assert rows(found)[3] == {"driver_stats", "driver_gone"}


def test_with_all_views_nothing_of_the_entity_is_left(found, run):
    ran = run("delete-rows", "--all-views", "-e", "driver_id=1", "--yes")
    assert ran.status == 0, ran.err
    assert not found.redis.exists(key(1))
    assert set(rows(found)) == {2, 3, 4, 5}
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines == [
        ["VIEW", "ROWS", "FIELDS"], ["driver_more", "1", "3"], ["driver_stats", "1", "3"],
        ["driver_gone", "(deleted)", "1", "2"],
    ]  # fmt: skip
    assert "a run that finds them there brings them back" in ran.err
    assert "left as they are: rows of route_stats, whose join keys are city, driver_id" in ran.err
    assert found.redis.exists(route(1, "Rome"))


def test_several_join_keys_name_one_row(found, run):
    ran = run("delete-rows", "--all-views", "-e", "driver_id=1", "-e", "city=Rome", "--yes", "--json")
    assert said(ran) == {"route_stats": (1, 2)}
    assert "left as they are: rows of driver_more, driver_stats, driver_gone, whose join keys are driver_id" in ran.err
    assert not found.redis.exists(route(1, "Rome"))
    assert set(rows(found)) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("in_file", [False, True])
def test_rows_go_whose_views_are_all_deleted(found, run, in_file):
    """The entity itself is no longer registered."""
    found.redis.hset(town("12"), mapping=dict.fromkeys(fields_of("town_gone", ["rides"]), b"v"))
    found.place.write("towns.csv", "town\n12\n")
    which = ["--entities", found.place.folder / "towns.csv"] if in_file else ["-e", "town=12"]
    assert said(run("delete-rows", "--all-views", *which, "--yes", "--json")) == {"town_gone": (1, 2)}
    assert not found.redis.exists(town("12"))
    assert set(rows(found)) == {1, 2, 3, 4, 5}


def test_without_yes_rows_are_only_counted(found, run):
    assert said(run("delete-rows", "--all-views", "-e", "driver_id=1,77", "--json")) == {
        "driver_stats": (1, 3), "driver_more": (1, 3), "driver_gone": (1, 2)
    }  # fmt: skip
    ran = run("delete-rows", "--view", "driver_stats", "-e", "driver_id=1")
    assert ran.out.splitlines()[1:] == ["driver_stats     1       3", "nothing was done; --yes deletes these rows"]
    assert set(rows(found)) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("which", [["--view", "driver_stats"], ["--all-views"]])
def test_a_file_names_many(found, run, which):
    found.place.write("drivers.csv", "driver_id,why\n1,asked\n2,asked\n1,asked again\n")
    counted = said(run("delete-rows", *which, "--entities", found.place.folder / "drivers.csv", "--yes", "--json"))
    assert counted["driver_stats"] == (2, 6)
    assert len(counted) == (1 if "--view" in which else 3)


def test_nothing_goes_where_a_row_of_the_file_is_wrong(found, run):
    found.place.write("drivers.csv", "driver_id\n1\ntwo\n")
    ran = run("delete-rows", "--all-views", "--entities", found.place.folder / "drivers.csv", "--yes")
    assert ran.status == 2
    assert "driver_id: row 2 with no whole number, and the join key is Int64" in ran.err
    assert set(rows(found)) == {1, 2, 3, 4, 5}


def test_it_is_noted_without_whose_rows_they_were(found, run):
    assert run("delete-rows", "--view", "driver_stats", "-e", "driver_id=4", "--yes").status == 0
    first = json.loads(run("history", "--json", "--limit", "1").out)[0]
    assert (first["action"], first["name"], first["by"]["via"]) == (
        "delete-rows",
        "driver_stats",
        "featureplane delete-rows",
    )
    assert first["fields"] == [{"path": "online rows", "before": 1, "after": 0}]
    assert first["digestBefore"] == first["digestAfter"]
    assert "online rows: 1 -> 0" in run("history", "--limit", "1").out
    assert run("delete-rows", "--view", "driver_stats", "-e", "driver_id=4", "--yes").status == 0
    assert json.loads(run("history", "--json", "--limit", "1").out)[0]["id"] == first["id"]


def test_no_run_goes_on_meanwhile(found, run, monkeypatch):
    monkeypatch.setattr(by_hand, "_PATIENCE", 0.0)
    engine = engine_for(found.stores.postgres)
    with lock.hold(engine, found.stores.postgres, "feast", "driver_stats"):
        ran = run("delete-rows", "--view", "driver_stats", "-e", "driver_id=1", "--yes")
    engine.dispose()
    assert (ran.status, ran.err.splitlines()[-1]) == (2, "a run copies driver_stats; try again when it has ended")
    assert rows(found)[1] == set(VIEWS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-e", "driver_id=1"], "name a view with --view, or say --all-views"),
        (["--view", "driver_stats", "--all-views", "-e", "driver_id=1"], "name a view with --view, or say --all-views"),
        (["--all-views"], "name entities with --entity, or a file of them with --entities"),
        (["--view", "driver_stat", "-e", "driver_id=1"], "the feature view 'driver_stat' is not registered"),
        (["--view", "route_stats", "-e", "driver_id=1"], "needs the join key 'city': --entity city=VALUE"),
        (["--view", "driver_stats", "-e", "driver_id=x"], "driver_id is Int64, so its values are whole numbers"),
        (["--all-views", "-e", "planet=Mars"], "no view has just planet as its join keys; those of views are "),
        (["--all-views", "--entities", "none.csv"], "none.csv: is not there"),
    ],
)
def test_what_cannot_be_meant_is_refused(found, run, options, words):
    ran = run("delete-rows", *options, "--yes")
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert set(rows(found)) == {1, 2, 3, 4, 5}
