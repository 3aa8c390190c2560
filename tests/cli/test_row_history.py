"""`featureplane row-history` as a user runs it: what the source has had of an entity, and which of it is served."""

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.driver_rows import BANK, HOUR, NOW, ROUTES, ROWS, STATS, a_row, driver_rows
from factories import a_project, to_yaml

CASSANDRA = {"hosts": ["cassandra"], "keyspace": "feast"}

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with driver_rows(tmp_path_factory.mktemp("rows")) as (made, _):
        yield made


@pytest.fixture
def history(place, featureplane, monkeypatch) -> Callable[..., Any]:
    """The command in this process, on the module's stores."""
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(place.state))
    monkeypatch.setenv("FEATUREPLANE_DATA_ROOT", str(place.folder / "data"))

    def run(*arguments, project="feast"):
        return featureplane("row-history", place.folder / f"{project}.yaml", *arguments)

    return run


def found(ran) -> Any:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


projects = pytest.mark.parametrize("project", ["feast", "bank"])


@projects
def test_the_newest_rows_come_first_and_of_equal_times_the_one_that_came_last(history, project):
    said = found(history("--view", "driver_stats", "-e", "driver_id=1", "--json", project=project))
    assert [each["values"]["trips"] for each in said["rows"]] == [None, 41, 40, 50, -1]
    assert said["entity"] == {"driver_id": 1}
    first, late, *_, refused = said["rows"]
    assert first == {
        "event_time": (NOW - 3 * HOUR).isoformat(), "created": (NOW - 3 * HOUR).isoformat(),
        "values": {"trips": None, "rating": 0.5}, "served": True, "refused": False,
    }  # fmt: skip
    assert (late["event_time"], late["created"]) == ((NOW - 4 * HOUR).isoformat(), (NOW - 3 * HOUR).isoformat())
    assert [each["served"] for each in said["rows"]] == [True, False, False, False, False]
    assert (refused["refused"], late["refused"]) == (True, False)
    assert said["online"] == {
        "event_time": (NOW - 3 * HOUR).isoformat(), "values": {"trips": None, "rating": 0.5}, "expired": False
    }  # fmt: skip


@projects
def test_no_more_rows_are_shown_than_are_asked_for(history, project):
    said = found(history("--view", "driver_stats", "-e", "driver_id=1", "--last", "2", "--json", project=project))
    assert [each["values"]["trips"] for each in said["rows"]] == [None, 41]


@projects
def test_a_pushed_row_is_shown_though_the_source_has_none_like_it(history, project):
    said = found(history("--view", "driver_stats", "-e", "driver_id=2", "--json", project=project))
    assert said["online"]["values"] == {"trips": 3, "rating": 1.5}
    assert [(each["values"]["trips"], each["served"]) for each in said["rows"]] == [(2, False)]
    ran = history("--view", "driver_stats", "-e", "driver_id=2", project=project)
    head, pushed, copied = (line.split() for line in ran.out.splitlines())
    assert head == ["STATE", "EVENT", "TIME", "CREATED", "trips", "rating"]
    assert pushed == ["online", "only", NOW.isoformat().replace("+00:00", "Z"), "-", "3", "1.5"]
    assert (copied[0], copied[3:]) == ("-", ["2", "0.5"])
    assert "online only: no row of the source is the same" in ran.err


def test_the_row_that_is_served_is_found_behind_newer_ones(place, history):
    """The source has gone on since the last run."""
    path = place.folder / "data" / "stats.parquet"
    before = parquet.read_table(path)
    parquet.write_table(pa.Table.from_pylist([*ROWS, *(a_row(4, hours / 10, hours) for hours in range(1, 6))]), path)
    said = found(history("--view", "driver_stats", "-e", "driver_id=4", "--last", "3", "--json"))
    parquet.write_table(before, path)
    assert [(each["values"]["trips"], each["served"]) for each in said["rows"]] == [
        (1, False), (2, False), (3, False), (1, True),
    ]  # fmt: skip
    assert said["rows"][-1]["event_time"] == (NOW - HOUR).isoformat()


def test_several_join_keys_are_one_entity(history):
    said = found(history("--view", "route_stats", "-e", "city=Oslo", "-e", "driver_id=1", "--json"))
    assert said["entity"] == {"city": "Oslo", "driver_id": 1}
    assert [(each["values"], each["served"]) for each in said["rows"]] == [({"rides": 8}, True)]


def test_a_pod_needs_nothing_but_the_project(place, featureplane, monkeypatch):
    """There stores are those of the environment, and views those of the registry."""
    for name, value in {**place.variables, "FEATUREPLANE_STORES": "environment"}.items():
        monkeypatch.setenv(name, value)
    project = place.write("project.yaml", to_yaml(BANK))
    said = found(featureplane("row-history", project, "--view", "driver_stats", "-e", "driver_id=3", "--json"))
    assert [(each["values"]["trips"], each["served"]) for each in said["rows"]] == [(9, True)]


def test_a_row_past_its_ttl_is_there_and_not_served(place, history):
    place.write("short.yaml", to_yaml({**STATS, "spec": {**STATS["spec"], "ttl": "2h"}}, ROUTES))
    for file, state in (("short.yaml", "expired"), ("feast.yaml", "served")):
        assert place("apply", file).status == 0
        ran = history("--view", "driver_stats", "-e", "driver_id=3")
        assert ran.out.splitlines()[1].split()[0] == state
        assert ("expired: the row that is online is older" in ran.err) == (state == "expired")


def test_a_view_that_is_not_online_has_its_history_as_well(history):
    said = found(history("--view", "route_archive", "-e", "city=Rome", "--json"))
    assert said["online"] is None
    assert [(each["values"], each["served"]) for each in said["rows"]] == [({"rides": 7}, False)]


def test_rows_in_cassandra_are_not_looked_at(place, history):
    place.write("cassandra.yaml", to_yaml(a_project(onlineStore={"cassandra": CASSANDRA}), STATS))
    ran = history("--view", "driver_stats", "-e", "driver_id=1", project="cassandra")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "the rows of 'feast' are in Cassandra, and this command knows those in Redis alone\n"


def test_nothing_at_all_is_said(history):
    ran = history("--view", "driver_stats", "-e", "driver_id=77")
    assert (ran.status, ran.out) == (0, "neither the source nor the online store has a row of this entity\n")


@pytest.mark.parametrize(
    ("view", "entity", "words"),
    [
        (
            "driver_stat",
            "driver_id=1",
            "the feature view 'driver_stat' is not registered; registered are driver_stats,",
        ),
        ("route_stats", "driver_id=1", "the feature view 'route_stats' needs the join key 'city': --entity city=VALUE"),
        ("driver_stats", "driver_id=one", "driver_id is Int64, so its values are whole numbers"),
        ("driver_stats", "driver_id=9223372036854775808", "entities.driver_id: 9223372036854775808 is no Int64"),
        ("driver_stats", "driver_id=1,2", "name one entity: a single value for each --entity"),
        ("driver_stats", "driver=1", "'driver' is no join key of a registered entity; they are city, driver_id"),
        ("driver_stats", "driver_id", "--entity 'driver_id' is not KEY=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_refused(history, view, entity, words):
    ran = history("--view", view, "-e", entity)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
