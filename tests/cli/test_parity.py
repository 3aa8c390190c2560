"""`parity` on a laptop: what was copied is equal, and what changed since is shown."""

import json
import os
from functools import partial

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from featureplane.local.stores import embedded_stores

EXAMPLE = "commodity"
# The first test waits for the commands that apply and copy.
pytestmark = pytest.mark.timeout(400)
PRICES, WEATHER = "commodity_price_features", "weather_features"


@pytest.fixture(scope="module")
def copied(example):
    """The example, applied and copied; of the weather the source has gone on to say something else."""
    for command in ("apply", "materialize"):
        ran = example(command, "files")
        assert ran.status == 0, ran.err
    path = example.folder / "data" / "weather.parquet"
    rows = pq.read_table(path)
    place = rows.schema.get_field_index("storm_index")
    doubled = pc.add(rows.column(place), pa.scalar(1, rows.schema.field(place).type))
    pq.write_table(rows.set_column(place, rows.schema.field(place), doubled), path)
    return example


@pytest.fixture
def parity(copied, featureplane, monkeypatch):
    """The command in this process, on the module's stores."""
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(copied.state))
    monkeypatch.setenv("FEATUREPLANE_DATA_ROOT", str(copied.folder / "data"))
    return partial(featureplane, "parity", copied.folder / "files")


def views(ran):
    return {each["view"]: each for each in json.loads(ran.out)["views"]}


def test_every_view_is_compared(parity):
    ran = parity("--json")
    assert ran.status == 0, ran.err
    found = views(ran)
    assert set(found) == {PRICES, "economic_features", WEATHER}
    assert {found[name]["rate"] for name in (PRICES, "economic_features")} == {1.0}
    assert found[PRICES]["values_equal"] == found[PRICES]["values_compared"] == 8 * found[PRICES]["compared"] > 0
    assert found[WEATHER]["rate"] == 0
    assert found[WEATHER]["different"] == found[WEATHER]["compared"] > 0
    assert found[WEATHER]["values_equal"] == 0.75 * found[WEATHER]["values_compared"]
    (first, *_) = found[WEATHER]["differences"]
    assert first["feature"] == "storm_index"
    assert first["offline"] == pytest.approx(first["online"] + 1)
    assert first["entity"].keys() == {"region"}


def test_a_table_for_people_ends_with_what_chooses_the_same_entities(parity):
    ran = parity("--view", WEATHER, "--sample", "3", "--seed", "11", "--differences", "1")
    assert ran.status == 0
    head, row, _, difference = ran.out.splitlines()
    assert head.split() == ["VIEW", "COMPARED", "EQUAL", "VALUES", "DIFFERENT"]
    assert row.split() == [WEATHER, "3", "0", "%", "75", "%", "3"]
    assert difference.split()[0] == WEATHER
    assert difference.split()[2:4] == ["different", "storm_index"]
    assert "different: rows of one event time have different values" in ran.err
    assert ran.err.endswith("--seed 11 chooses the same entities again\n")


@pytest.mark.parametrize(("view", "rate", "status"), [(PRICES, "1", 0), (WEATHER, "0.01", 1), (WEATHER, "0", 0)])
def test_the_status_says_whether_enough_is_equal(parity, view, rate, status):
    assert parity("--view", view, "--minimum-rate", rate).status == status


def test_what_is_noted_holds_no_entity_and_no_value(copied, parity):
    """It is what the operator makes a condition of."""
    ran = parity("--record", "--view", WEATHER, "--differences", "0")
    assert (ran.status, len(ran.out.splitlines())) == (0, 2)
    with (
        embedded_stores(copied.state / "stores", search_path=os.environ["PATH"]) as stores,
        psycopg.connect(**stores.postgres.with_database("feast").keywords) as connection,
    ):
        (row,) = connection.execute("SELECT * FROM featureplane.parity_checks").fetchall()
    texts = {value for value in row if isinstance(value, str)}
    assert texts == {"254carbon", WEATHER, ""}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--view", "weather"], "--view 'weather' is not registered and online; registered and online are commodity"),
        (["--window", "soon"], "--window 'soon' "),
    ],
)
def test_a_wrong_option_is_refused(parity, options, words):
    ran = parity(*options)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


def test_a_source_that_is_away_fails_its_own_view(copied, parity):
    path = copied.folder / "data" / "weather.parquet"
    path.rename(path.with_suffix(".away"))
    ran = parity("--json")
    path.with_suffix(".away").rename(path)
    assert ran.status == 1
    found = views(ran)
    assert [name for name, each in found.items() if each["failed"]] == [WEATHER]
    assert "weather.parquet" in found[WEATHER]["message"]


def test_a_pod_that_is_tried_again_looks_at_what_is_left(copied, parity, monkeypatch):
    monkeypatch.setenv("FEATUREPLANE_JOB", "feast-parity-1")
    path = copied.folder / "data" / "weather.parquet"
    path.rename(path.with_suffix(".away"))
    first = parity("--record", "--json")
    path.with_suffix(".away").rename(path)
    assert (first.status, set(views(first))) == (1, {PRICES, "economic_features", WEATHER})
    again = parity("--record", "--json")
    assert (again.status, set(views(again))) == (0, {WEATHER})
