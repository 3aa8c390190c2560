"""`featureplane roll-back` as a user runs it: a row of before is served again, and what it replaced is said."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.driver_rows import DRIVER, HOUR, NOW, ROUTES, STATS, a_row, driver_rows, push
from factories import a_feature, a_feature_view, a_source, to_yaml
from featureplane.entities import by_hand
from featureplane.entities.rolling_back import RollBack
from featureplane.materialization import lock
from featureplane.registry import audit
from featureplane.registry.audit import Wanted
from featureplane.registry.database import begin, engine_for
from featureplane.registry.plan import FieldChange

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with driver_rows(tmp_path_factory.mktemp("rows")) as (place, stores):
        yield SimpleNamespace(place=place, stores=stores)


@pytest.fixture
def rows(found, featureplane, monkeypatch) -> Callable[..., Any]:
    """Commands about a driver's row in this process, on the module's stores."""
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(found.place.state))
    monkeypatch.setenv("FEATUREPLANE_DATA_ROOT", str(found.place.folder / "data"))

    def run(command, driver, *arguments, project="feast", view="driver_stats"):
        files = found.place.folder / f"{project}.yaml"
        entity = "city=Rome" if view == "route_archive" else f"driver_id={driver}"
        return featureplane(command, files, "--view", view, "-e", entity, *arguments)

    return run


def said(ran) -> Any:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def ago(hours: float) -> str:
    return (NOW - hours * HOUR).isoformat()


def noted(found, project) -> list[tuple[str, tuple[FieldChange, ...], str]]:
    engine = engine_for(found.stores.postgres)
    with begin(engine, found.stores.postgres) as connection:
        entries = audit.read(connection, Wanted(project, ["feature_view"], "driver_stats"))
    engine.dispose()
    return [(each.action, each.fields, each.by.via) for each in entries]


@pytest.mark.parametrize("project", ["feast", "bank"])
def test_the_row_of_before_is_served_as_of_now(found, rows, project):
    """Of the two rows with the event time of then it is the one that came last."""
    ran = said(rows("roll-back", 1, "--to", ago(3.5), "--yes", "--json", project=project))
    right = {"trips": 41, "rating": 0.5}
    assert ran["source"] == {"event_time": ago(4), "values": right}
    assert ran["before"] == {"event_time": ago(3), "values": {"trips": None, "rating": 0.5}}
    assert ran["after"]["values"] == right
    assert ran["done"] is True
    assert NOW <= datetime.fromisoformat(ran["after"]["event_time"]) <= datetime.now(UTC)
    assert said(rows("row-history", 1, "--json", project=project))["online"]["values"] == right
    changed = FieldChange("online row", ago(3), ago(4))
    assert noted(found, project)[0] == ("roll-back", (changed,), "featureplane roll-back")
    again = said(rows("roll-back", 1, "--to", ago(3.5), "--yes", "--json", project=project))
    assert (again["done"], again["after"]) == (False, ran["after"])


def test_without_yes_it_is_only_shown(rows):
    ran = rows("roll-back", 2, "--to", ago(1))
    head, source, online, rest = ran.out.splitlines()
    assert head.split() == ["ROW", "EVENT", "TIME", "trips", "rating"]
    assert source.split()[-2:] == ["2", "0.5"]
    assert online.split()[-2:] == ["3", "1.5"]
    assert rest == "nothing was done; --yes writes the source's row with the event time of now"
    assert said(rows("row-history", 2, "--json"))["online"]["values"]["trips"] == 3


def test_what_it_replaced_and_what_may_replace_it_is_said(rows):
    ran = rows("roll-back", 2, "--to", ago(1), "--yes")
    was, source, online = (line.split() for line in ran.out.splitlines()[1:])
    assert (was[:2], was[-2:]) == (["was", "online"], ["3", "1.5"])
    assert source[-2:] == online[-2:] == ["2", "0.5"]
    assert "a run replaces it when the source has a row with a later event time" in ran.err


@pytest.mark.parametrize(
    ("driver", "to", "words"),
    [
        (1, ago(8), "the source of driver_stats has no row of this entity up to "),
        (77, "1s", "has no row of this entity"),
        (1, ago(5.5), "driver_stats.trips: -1 is below the minimum 0"),
        (1, "soon", "--to soon is neither a duration nor a time; write 2d, 2026-03-31 or 2026-03-31T08:00Z"),
        (1, "2999-01-01", "--to 2999-01-01 lies in the future; name a time when the row was right"),
    ],
    # Processes that share the tests collect them at different times.
    ids=["before all rows", "no such entity", "refused by a check", "no time", "in the future"],
)
def test_what_cannot_be_is_refused(found, rows, driver, to, words):
    before = noted(found, "feast")
    ran = rows("roll-back", driver, "--to", to, "--yes")
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert noted(found, "feast") == before


def test_a_view_that_is_not_online_has_nothing_to_roll_back(rows):
    ran = rows("roll-back", 1, "--to", ago(0), "--yes", view="route_archive")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("route_archive is not online: nobody is served from it")


def test_a_row_that_was_past_its_ttl_then_was_not_served(found, rows):
    short = {**STATS, "spec": {**STATS["spec"], "ttl": "30m"}}
    found.place.write("short.yaml", to_yaml(short, ROUTES))
    assert found.place("apply", "short.yaml").status == 0
    ran = rows("roll-back", 4, "--to", ago(0.4), "--yes")
    assert found.place("apply", "feast.yaml").status == 0
    assert ran.status == 2
    assert f"the newest row of then, of {ago(1)}, was past the ttl of driver_stats; name an earlier time" in ran.err


def test_a_row_with_a_value_of_another_type_was_never_served(found, rows):
    """The value is a null where rows are looked at, and no check refuses one."""
    rating = a_feature("rating", "Float64")
    source = a_source(file={"path": "large.parquet"}, timestampField="event_timestamp")
    large = a_feature_view(
        "driver-large", entities=[DRIVER], features=[a_feature("trips", "Int32"), rating], source=source
    )
    table = pa.Table.from_pylist([a_row(1, 2, 2**31), a_row(1, 1, 1)])
    parquet.write_table(table, found.place.folder / "data" / "large.parquet")
    found.place.write("large.yaml", to_yaml(STATS, ROUTES, large))
    assert found.place("apply", "large.yaml").status == 0
    ran = rows("roll-back", 1, "--to", ago(1.5), "--yes", project="large", view="driver_large")
    assert found.place("apply", "feast.yaml", "--prune").status == 0
    assert (ran.status, ran.out) == (2, "")
    assert f"a value in the source's row of {ago(2)} is not of its feature's type: no run copies the row" in ran.err


def test_a_row_with_an_event_time_of_the_future_stays(found, rows):
    push(found.stores, "feast", "driver_stats", {"driver_id": 3, "trips": 30, "rating": 3.0}, NOW + timedelta(days=1))
    before = noted(found, "feast")
    ran = rows("roll-back", 3, "--to", ago(1), "--yes")
    assert ran.status == 2
    assert ran.err.startswith("nothing was written: what is online has an event time of the future; take it out")
    assert noted(found, "feast") == before


def test_no_run_goes_on_meanwhile(found, rows, monkeypatch):
    monkeypatch.setattr(by_hand, "_PATIENCE", 0.0)
    engine = engine_for(found.stores.postgres)
    with lock.hold(engine, found.stores.postgres, "feast", "driver_stats"):
        ran = rows("roll-back", 5, "--to", ago(1.5), "--yes")
    engine.dispose()
    assert (ran.status, ran.err) == (2, "a run copies driver_stats; try again when it has ended\n")
    assert said(rows("row-history", 5, "--json"))["online"]["values"]["trips"] == 5
    assert said(rows("roll-back", 5, "--to", ago(1.5), "--yes", "--json"))["after"]["values"]["trips"] == 6


def test_what_was_pushed_meanwhile_is_not_written_over(found, rows, monkeypatch):
    meanwhile = {"driver_id": 5, "trips": 33, "rating": 3.5}
    monkeypatch.setattr(
        RollBack, "check", lambda *_: push(found.stores, "feast", "driver_stats", meanwhile, datetime.now(UTC))
    )
    before = noted(found, "feast")
    ran = rows("roll-back", 5, "--to", ago(0.5), "--yes")
    assert (ran.status, ran.err.partition(";")[0]) == (2, "nothing was written: what is online has changed meanwhile")
    assert said(rows("row-history", 5, "--json"))["online"]["values"]["trips"] == 33
    assert noted(found, "feast") == before
