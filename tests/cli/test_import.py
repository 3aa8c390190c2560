"""A Feast repo that was applied with Feast becomes files whose plan is empty."""

import json
import os
import subprocess
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.commands import BIN, Place
from featureplane.local.stores import embedded_stores
from featureplane.registry.database import ensure_database

REPO = """\
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

from helper import OWNER

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, description="Who [/] drives")
trips = FileSource(name="trips", path="data/trips.parquet", timestamp_field="event_timestamp")
stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(hours=30), source=trips, owner=OWNER, tags={"team": "rides"},
    schema=[Field(name="trips_today", dtype=Int64), Field(name="rating", dtype=Float64, description="Of five")],
)
model = FeatureService(name="model_v1", features=[stats[["rating"]]], description="\\x1b[31mThe model")
"""
STORE = """\
project: rides
provider: local
entity_key_serialization_version: 3
registry: {registry_type: sql, path: "postgresql+psycopg://", cache_ttl_seconds: 60}
online_store: {type: featureplane.plugins.redis.EnvironmentRedisOnlineStore}
offline_store: {type: file}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A repo that Feast applied to the embedded registry; the stores run while the module does."""
    place = Place(tmp_path_factory.mktemp("import"))
    place.write("repo/definitions.py", REPO)
    place.write("repo/helper.py", 'OWNER = "rides@example.com"\n')
    place.write("repo/feature_store.yaml", STORE)
    place.state.mkdir()
    with embedded_stores(place.state / "stores", search_path=os.environ["PATH"]) as stores:
        address = stores.postgres.with_database("feast")
        ensure_database(address)
        environment = {**place.environment(), **address.environment(), **stores.redis.environment()}
        subprocess.run([BIN / "feast", "apply", "--skip-source-validation"], cwd=place.folder / "repo", env=environment,
                       check=True, capture_output=True)  # fmt: skip
        yield place


@pytest.fixture(scope="module")
def imported(place):
    return place("import", "repo", "--out", "files")


def test_what_is_written_is_said(place, imported):
    assert (imported.status, imported.err) == (0, "")
    assert imported.out.splitlines()[0] == "wrote 1 view, 1 service and their FeastProject to files"
    written = sorted(str(path.relative_to(place.folder / "files")) for path in (place.folder / "files").rglob("*.yaml"))
    assert written == ["project.yaml", "services/model-v1.yaml", "views/driver-stats.yaml"]
    assert "\x1b" not in (place.folder / "files" / "services" / "model-v1.yaml").read_text()


def test_the_plan_of_an_imported_repo_is_empty(place, imported):
    columns = {"driver_id": [1], "trips_today": [7], "rating": [4.8], "event_timestamp": [datetime.now(UTC)]}
    (place.folder / "repo" / "data").mkdir()
    pq.write_table(pa.table(columns), place.folder / "repo" / "data" / "trips.parquet")
    ran = place("plan", "files", "--data-root", "repo", "--json")  # the repo's own paths are relative to it
    assert ran.status == 0, ran.err
    (plan,) = json.loads(ran.out)
    assert (plan["project"], plan["changes"], plan["refused"]) == ("rides", [], [])
    adopted = [("project", "rides"), ("entity", "driver"), ("data_source", "trips"), ("feature_view", "driver_stats")]
    assert [(item["kind"], item["name"]) for item in plan["adopted"]] == [*adopted, ("feature_service", "model_v1")]


def test_the_same_project_from_the_registry_says_the_same(place, imported):
    ran = place("import", "--project", "rides", "--out", "again")
    assert ran.status == 0, ran.err
    for path in (place.folder / "files").rglob("*.yaml"):
        assert (place.folder / "again" / path.relative_to(place.folder / "files")).read_text() == path.read_text()
