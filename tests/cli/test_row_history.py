"""`featureplane row-history` as a user runs it: what the source has had of an entity, and which of it is served."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.commands import Place
from cli.pushed import push
from factories import a_feature, a_feature_view, a_postgres_source, a_project, a_source, an_entity, to_yaml
from featureplane.local.stores import embedded_stores
from featureplane.registry.database import ensure_database
from featureplane.settings import PostgresAddress

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")
FEATURES = [a_feature("trips", "Int64", checks={"minimum": 0}), a_feature("rating", "Float64")]
TIMES = {"timestampField": "event_timestamp", "createdTimestampColumn": "created"}
STATS = a_feature_view(
    "driver-stats", entities=[DRIVER], features=FEATURES, source=a_source(file={"path": "stats.parquet"}, **TIMES)
)
BANK = a_project("bank", project="bank", offlineStore={"type": "postgres"})
TABLE = a_feature_view(
    "driver-stats",
    projectRef={"name": "bank"},
    entities=[DRIVER],
    features=FEATURES,
    source=a_postgres_source("public.stats", **TIMES),
)
ROUTES = a_feature_view(
    "route-stats",
    entities=[DRIVER, an_entity("city", joinKey="city", type="String")],
    features=[a_feature("rides", "Int64")],
    source=a_source(file={"path": "routes.parquet"}, timestampField="event_timestamp"),
)


def row(driver: int, hours: float, trips: int | None, rating: float | None = 0.5, late: float = 0) -> dict[str, Any]:
    at = NOW - hours * HOUR
    return {
        "driver_id": driver, "event_timestamp": at, "created": at + late * HOUR, "trips": trips, "rating": rating,
    }  # fmt: skip


# Of driver 1: a row that came late for a time that had one, a row that a check refuses, and one without a value.
ROWS = [
    row(1, 5, 50), row(1, 4, 40), row(1, 4, 41, late=1), row(1, 3, None), row(2, 2, 2), row(1, 6, -1),
    row(3, 9, 9), row(4, 1, 1),
]  # fmt: skip
NAMES = "driver_id, event_timestamp, created, trips, rating"

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two projects, one on files and one on a table. All was copied, and driver 2 then pushed."""
    made = Place(tmp_path_factory.mktemp("rows"))
    (made.folder / "data").mkdir()
    parquet.write_table(pa.Table.from_pylist(ROWS), made.folder / "data" / "stats.parquet", row_group_size=2)
    at = {"event_timestamp": NOW}
    routes = [{"driver_id": 1, "city": "Rome", "rides": 7, **at}, {"driver_id": 1, "city": "Oslo", "rides": 8, **at}]
    parquet.write_table(pa.Table.from_pylist(routes), made.folder / "data" / "routes.parquet")
    (made.folder / "feast.yaml").write_text(to_yaml(STATS, ROUTES))
    (made.folder / "bank.yaml").write_text(to_yaml(BANK, TABLE))
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]) as stores:
        fill(stores.postgres)
        for project in ("feast", "bank"):
            for command in ("apply", "materialize"):
                ran = made(command, f"{project}.yaml")
                assert ran.status == 0, ran.err
            push(stores, project, "driver_stats", {"driver_id": 2, "trips": 3, "rating": 1.5}, NOW)
        made.variables = stores.environment()
        yield made


def fill(server: PostgresAddress) -> None:
    kinds = "driver_id bigint, event_timestamp timestamptz, created timestamptz, trips bigint, rating double precision"
    address = server.with_database("feast")
    ensure_database(address)
    with psycopg.connect(**address.keywords) as connection:
        connection.execute(f"CREATE TABLE public.stats ({kinds})")
        statement = f"INSERT INTO public.stats ({NAMES}) VALUES (%s, %s, %s, %s, %s)"
        connection.cursor().executemany(statement, [tuple(each.values()) for each in ROWS])


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
    parquet.write_table(pa.Table.from_pylist([*ROWS, *(row(4, hours / 10, hours) for hours in range(1, 6))]), path)
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
    for name, value in {**place.variables, "PGDATABASE": "feast", "FEATUREPLANE_STORES": "environment"}.items():
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
