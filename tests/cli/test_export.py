"""`featureplane export` as a user runs it."""

import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

from cli.commands import Place
from factories import a_feature, a_feature_view, a_service, a_source, an_entity, to_yaml
from featureplane.local.stores import embedded_stores

NOW = datetime.now(UTC).replace(microsecond=0)
VIEW = a_feature_view(
    "driver-stats",
    entities=[an_entity("driver", joinKey="driver_id", type="Int64")],
    features=[
        a_feature("trips", "Int64"), a_feature("rating", "Float64"), a_feature("tags", "Array(String)"),
        a_feature("seen", "UnixTimestamp"), a_feature("raw", "Bytes"),
    ],
    ttl="2h",
    source=a_source(file={"path": "stats.parquet"}),
)  # fmt: skip
SERVICE = a_service("model", views=[{"name": "driver_stats", "features": ["trips"]}])
ROWS = {"driver_id": 1, "event_timestamp": NOW, "trips": 2, "rating": 0.5, "tags": ["a"], "seen": NOW, "raw": b"\x00"}

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("export"))
    (made.folder / "data").mkdir()
    old = {**ROWS, "driver_id": 2, "event_timestamp": NOW - timedelta(hours=1), "rating": None}
    parquet.write_table(pa.Table.from_pylist([ROWS, old]), made.folder / "data" / "stats.parquet")
    (made.folder / "features.yaml").write_text(to_yaml(VIEW, SERVICE))
    (made.folder / "drivers.csv").write_text("driver_id,city\n1,Rome\n2,Oslo\n3,Bern\n")
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]):
        for command in ("apply", "materialize"):
            ran = made(command, "features.yaml")
            assert ran.status == 0, ran.err
        yield made


def exported(place, *arguments, out="online.parquet", status=0):
    ran = place("export", *arguments, "--entities", "drivers.csv", "--out", out)
    assert ran.status == status, ran.err
    return ran


def test_each_entity_has_what_is_online_in_its_types(place):
    exported(place, "driver_stats", "features.yaml", "--with-status", "--with-event-time")
    first, second, third = parquet.read_table(place.folder / "online.parquet").to_pylist()
    names = ("driver_id", "city", "trips", "rating", "tags", "raw")
    assert [first[name] for name in names] == [1, "Rome", 2, 0.5, ["a"], b"\x00"]
    assert first["seen"] == first["trips__event_timestamp"] == NOW
    assert (second["rating"], second["rating__status"]) == (None, "PRESENT")
    assert (third["trips"], third["trips__status"], third["trips__event_timestamp"]) == (None, "NOT_FOUND", None)


def test_a_server_is_asked_for_a_service(place):
    with place.running("serve", "features.yaml", "--port", "0") as server:
        url = next(word for word in server.said("http://").split() if word.startswith("http://")).rstrip(",;.")
        exported(place, "model", "--server", url, out="served.parquet")
        assert parquet.read_table(place.folder / "served.parquet").to_pylist() == [
            {"driver_id": 1, "city": "Rome", "trips": 2},
            {"driver_id": 2, "city": "Oslo", "trips": 2},
            {"driver_id": 3, "city": "Bern", "trips": None},
        ]
        assert "knows no 'modle'" in exported(place, "modle", "--server", url, out="none.parquet", status=2).err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["driver_stat", "features.yaml"], "view 'driver_stat' is not registered; did you mean driver_stats?"),
        (["-f", "driver_stats:trip", "features.yaml"], "did you mean trips?"),
        (["features.yaml"], "name a feature view or service, or features with --feature, and then the files of the"),
        (["-f", "driver_stats"], "name the files of a project, or a server with --server"),
        (["model", "features.yaml", "--server", "http://127.0.0.1:9"], "leave out features.yaml, or --server"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_written(place, arguments, why):
    assert why in exported(place, *arguments, out="none.parquet", status=2).err
    assert not list(place.folder.glob("*none.parquet*"))
