"""`featureplane training-set` as a user runs it."""

import json
import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

from cli.commands import Place
from factories import a_feature, a_feature_view, a_service, a_source, an_entity, to_yaml
from featureplane.local.stores import embedded_stores

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
VIEW = a_feature_view(
    "driver-stats",
    entities=[an_entity("driver", joinKey="driver_id", type="Int64")],
    features=[a_feature("trips", "Int64"), a_feature("rating", "Float64"), a_feature("tags", "Array(String)")],
    ttl="2h",
    source=a_source(file={"path": "stats.parquet"}),
)
SERVICE = a_service("model", views=[{"name": "driver_stats", "features": ["trips", "rating"]}])
LABELS = "driver_id,event_timestamp,label,code\n2,2026-01-01T01:30:00Z,1,007\n1,2026-01-01T03:00:00+02:00,0,008\n"

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("training"))
    (made.folder / "data").mkdir()
    rows = {
        "driver_id": [1, 1, 2],
        "event_timestamp": [START, START + HOUR, START - HOUR],
        "trips": [1, 2, 3],
        "rating": [0.5, None, 1.5],
        "tags": [["a"], [], None],
    }
    parquet.write_table(pa.table(rows), made.folder / "data" / "stats.parquet")
    (made.folder / "features.yaml").write_text(to_yaml(VIEW, SERVICE))
    (made.folder / "labels.csv").write_text(LABELS)
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]):
        assert made("apply", "features.yaml").status == 0
        yield made


def asked(place, *arguments, entities="labels.csv", out="training.parquet", status=0):
    ran = place("training-set", *arguments, "features.yaml", "--entities", entities, "--out", out)
    assert ran.status == status, ran.err
    return ran


def test_a_training_set_has_each_row_with_what_was_known_then(place):
    asked(place, "model")
    found = parquet.read_table(place.folder / "training.parquet")
    assert found.drop_columns("event_timestamp").to_pylist() == [
        {"driver_id": 2, "label": 1, "code": "007", "trips": None, "rating": None},
        {"driver_id": 1, "label": 0, "code": "008", "trips": 2, "rating": None},
    ]
    assert found.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")
    record = json.loads((place.folder / "training.parquet.json").read_text())
    assert record["features"] == {"trips": "driver_stats:trips", "rating": "driver_stats:rating"}
    assert (record["rows"], record["missing"]) == (2, {"trips": 1, "rating": 2})
    assert set(record["definitions"]) == {
        "feature_service/model", "feature_view/driver_stats", "data_source/driver_stats_source", "entity/driver"
    }  # fmt: skip
    assert not list(place.folder.glob(".*unfinished"))


def test_what_stands_beside_it_is_no_definition(place):
    asked(place, "model", out="beside.arrow")
    assert (place.folder / "beside.arrow.json").exists()
    ran = place("validate", ".")
    assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize(("out", "read"), [("set.csv", csv.read_csv), ("set.arrow", feather.read_table)])
def test_it_is_written_by_its_extension(place, out, read):
    asked(place, "--feature", "driver_stats:trips", "--full-feature-names", out=out)
    assert read(place.folder / out).column("driver_stats__trips").to_pylist() == [None, 2]


@pytest.mark.parametrize(
    ("arguments", "out", "why"),
    [
        (["modle"], "no.parquet", "the feature service 'modle' is not registered; did you mean model?"),
        (["-f", "driver_stats:trip"], "no.parquet", "did you mean trips?"),
        (["-f", "driver_stats:tags"], "no.csv", "tags: is Array(String), which CSV has no form for"),
        (["model"], "gone/no.parquet", "there is no folder gone"),
        (["model"], "no.txt", "'.txt' is no extension that --out knows"),
        (["model", "--timestamp-column", "at"], "no.parquet", "has no column 'at'; name the column of times"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_written(place, arguments, out, why):
    before = {path for path in place.folder.iterdir() if path != place.state}
    assert why in asked(place, *arguments, out=out, status=2).err
    assert {path for path in place.folder.iterdir() if path != place.state} == before


def test_a_service_has_to_be_named_before_the_files(place):
    said = asked(place, out="no.parquet", status=2).err
    assert "name a feature service, or features with --feature, and then the files of the project" in said


def test_a_source_that_is_gone_leaves_nothing_behind(place):
    source = place.folder / "data" / "stats.parquet"
    hidden = source.rename(source.with_name("hidden"))
    try:
        assert "there is nothing at" in asked(place, "model", out="none.parquet", status=2).err
    finally:
        hidden.rename(source)
    assert not list(place.folder.glob("*none.parquet*"))
