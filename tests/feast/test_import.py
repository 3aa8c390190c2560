"""An ordinary Feast repo, or a registry that Feast filled, becomes custom resources whose plan is empty."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from test_round_trip import everything, tables
from world import World

from factories import Object, a_project, declared
from featureplane.model.declarations import ProjectDeclarations
from featureplane.registry.importing import Imported, read_repo, to_objects
from featureplane.registry.plan import compare
from featureplane.rendering import objects as back
from featureplane.rendering.definitions import define

# As Feast's documentation has it, with one of everything that people write.
REPO = """
from datetime import timedelta

import pandas as pd
from feast import (
    Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource, RequestSource,
)
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Float64, Int64, String
from feast.value_type import ValueType

project = Project(name="feast", description="A project for driver statistics")

driver = Entity(name="driver", join_keys=["driver_id"])  # no type: Feast infers it
customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="who pays")
unused = Entity(name="unused", join_keys=["unused_id"], value_type=ValueType.INT64)

stats = FileSource(
    name="driver_stats_source", path="data/driver_stats.parquet",
    timestamp_field="event_timestamp", created_timestamp_column="created",
)
with_format = FileSource(
    name="customers", path="data/customers.parquet", file_format=ParquetFormat(), timestamp_field="ts",
    field_mapping={"total": "spent"}, description="from the shop", tags={"team": "shop"},
)
pushed = PushSource(name="driver_push", batch_source=stats)

hourly = FeatureView(
    name="driver_hourly_stats", entities=[driver], ttl=timedelta(days=1),
    schema=[
        Field(name="conv_rate", dtype=Float32, description="rate"), Field(name="acc_rate", dtype=Float32),
        Field(name="avg_daily_trips", dtype=Int64, tags={"a": "b"}),
    ],
    online=True, source=stats, tags={"team": "driver_performance"}, owner="me@example.com",
)
inferred = FeatureView(name="Inferred-View", entities=[driver], source=stats)
fresh = FeatureView(
    name="driver_fresh", entities=[driver], ttl=timedelta(hours=2),
    schema=[Field(name="conv_rate", dtype=Float32)], source=pushed,
)
both = FeatureView(
    name="both", entities=[driver, customer],
    schema=[
        Field(name="driver_id", dtype=Int64), Field(name="customer_id", dtype=String),
        Field(name="spent", dtype=Float64),
    ],
    source=with_format, online=False,
)
entityless = FeatureView(
    name="world", entities=[], schema=[Field(name="conv_rate", dtype=Float32)], source=stats, ttl=timedelta(days=1),
)
vectors = FeatureView(
    name="vectors", entities=[driver], source=stats, ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Array(Float32), vector_index=True, vector_search_metric="L2")],
)

@on_demand_feature_view(
    sources=[hourly, RequestSource(name="input", schema=[Field(name="x", dtype=Int64)])],
    schema=[Field(name="plus", dtype=Float64)],
)
def on_demand(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"plus": inputs["conv_rate"] + inputs["x"]})

all_of_it = FeatureService(name="driver_activity_v1", features=[hourly, fresh], description="v1", tags={"m": "1"})
some_of_it = FeatureService(name="driver_activity_v2", features=[hourly[["conv_rate"]], both])
with_on_demand = FeatureService(name="driver_activity_v3", features=[hourly, on_demand])
with_alias = FeatureService(name="driver_activity_v4", features=[hourly.with_name("other")])
"""
LEFT_OUT = {
    ("feature_view", "world"): "no entity",
    ("feature_view", "vectors"): "a vector index on conv_rate",
    ("on_demand_feature_view", "on_demand"): "no custom resource is of this kind",
    ("feature_service", "driver_activity_v3"): "uses the feature view on_demand, which cannot be one",
    ("feature_service", "driver_activity_v4"): "an alias for driver_hourly_stats",
    ("entity", "unused"): "is used by no imported view",
}
VIEWS = {"driver_hourly_stats", "Inferred-View", "driver_fresh", "both"}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the repo, with the data that Feast infers types from."""
    folder = tmp_path_factory.mktemp("ordinary")
    (folder / "data").mkdir()
    time = pd.Timestamp("2026-01-01", tz="UTC")
    stats = {"conv_rate": [0.5], "acc_rate": [0.5], "avg_daily_trips": [3]}
    pd.DataFrame({"event_timestamp": [time], "driver_id": [1001], **stats, "created": [time]}).to_parquet(
        folder / "data/driver_stats.parquet"
    )
    pd.DataFrame({"ts": [time], "driver_id": [1001], "customer_id": ["c"], "total": [1.5]}).to_parquet(
        folder / "data/customers.parquet"
    )
    (folder / "features.py").write_text(REPO)
    config = {
        "project": "feast",
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {"registry_type": "sql", "path": "postgresql+psycopg://"},
        "online_store": None,
    }
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def from_repo(repo: Path) -> Imported:
    project, offline_store, found = read_repo(repo)
    return to_objects(project, found, offline_store)


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World], repo: Path) -> World:
    """A registry that `feast apply` filled from the repo."""
    world = make_world()
    world.registered()
    applied = world.feast("apply", folder=repo)
    assert applied.returncode == 0, applied.stdout
    return world


@pytest.fixture(scope="module")
def from_registry(filled: World) -> Imported:
    return to_objects("feast", filled.registered())


@pytest.fixture(params=["from_repo", "from_registry"])
def imported(request: pytest.FixtureRequest) -> Imported:
    return request.getfixturevalue(request.param)


def declarations(imported: Imported) -> ProjectDeclarations:
    (found,) = declared(*imported.objects.values())
    return found


def test_what_can_be_an_object_is_one(imported: Imported) -> None:
    found = declarations(imported)
    assert {view.feast_name for view in found.views} == VIEWS
    assert {service.feast_name for service in found.services} == {"driver_activity_v1", "driver_activity_v2"}


def test_what_cannot_be_one_is_listed_with_its_reason(imported: Imported) -> None:
    found = {(item.kind, item.name): item.why for item in imported.left_out}
    # The registry alone has a row of its own for it.
    assert found.pop(("data_source", "input"), "a source of type REQUEST_SOURCE") == "a source of type REQUEST_SOURCE"
    assert found == LEFT_OUT


def test_the_plan_against_the_registry_is_empty(imported: Imported, filled: World) -> None:
    found = filled.registered()
    plan = compare("feast", define(declarations(imported)), found, prune=True)
    assert (plan.changes, plan.refused) == ((), ())
    assert ("feature_view", "both") in {item.key for item in plan.adopted}


def test_adopting_writes_nothing_of_feasts(imported: Imported, repo: Path, make_world: Callable[[], World]) -> None:
    world = make_world()
    world.registered()
    assert world.feast("apply", folder=repo).returncode == 0
    before = world.feasts_rows()
    project = declarations(imported).project.model_copy(deep=True)
    trusting = project.spec.registry.model_copy(update={"trust_user_defined_functions": True})
    project = project.model_copy(update={"spec": project.spec.model_copy(update={"registry": trusting})})
    found = world.registered()
    world.writer(project).apply(compare("feast", define(declarations(imported)), found))
    assert world.feasts_rows() == before
    assert "No changes to registry" in world.feast("plan", folder=repo).stdout


def test_an_inferred_schema_is_written_out(imported: Imported) -> None:
    view = imported.objects["views/inferred-view.yaml"]["spec"]
    assert view["name"] == "Inferred-View"
    assert {feature["name"]: feature["type"] for feature in view["features"]} == {
        "conv_rate": "Float64",
        "acc_rate": "Float64",
        "avg_daily_trips": "Int64",
    }


def test_an_entity_without_a_type_gets_its_columns(imported: Imported) -> None:
    (entity,) = imported.objects["views/driver-hourly-stats.yaml"]["spec"]["entities"]
    assert entity == {"name": "driver", "joinKey": "driver_id", "type": "Int64"}


def test_reading_a_repo_touches_no_registry(repo: Path, bare_world: World) -> None:
    bare_world.registered()
    read_repo(repo)
    assert bare_world.rows() == {}


def test_a_repo_that_does_not_run_is_an_error_that_says_why(tmp_path: Path, repo: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text((repo / "feature_store.yaml").read_text())
    (tmp_path / "features.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(Exception, match=r"Feast cannot read the repo .* No module named 'nothing_of_this_name'"):
        read_repo(tmp_path)


@pytest.mark.parametrize("objects", [everything(), tables()], ids=["files", "tables"])
class TestInverse:
    """Objects to definitions, and back to objects that make the same definitions."""

    def test_of_the_definitions(self, objects: list[Object]) -> None:
        (before,) = declared(*objects)
        definitions = {item.key: item for item in define(before)}
        paths = [item.spec["path"] for item in definitions.values() if item.spec.get("type") == "file"]
        root = back.data_root(paths)
        again: list[Any] = [a_project(**self._project(objects[0]))]
        again += [
            back.view_object(item, definitions, root, "feast")
            for item in definitions.values()
            if item.kind == "feature_view"
        ]
        again += [
            back.service_object(item, definitions, "feast")
            for item in definitions.values()
            if item.kind == "feature_service"
        ]
        (after,) = declared(*again)
        found = {item.key: item for item in define(after)}
        assert {key: item.digest for key, item in found.items()} == {
            key: item.digest for key, item in definitions.items()
        }

    def test_through_the_registry(self, world: World, objects: list[Object]) -> None:
        world.apply(*objects)
        found = to_objects("feast", world.registered(), "postgres" if "postgres" in str(objects) else "file")
        assert found.left_out == ()
        plan = compare("feast", define(declarations(found)), world.registered())
        extras = {change.key[0] for change in plan.changes}
        assert extras <= {"project"}
        assert plan.refused == ()

    @staticmethod
    def _project(item: Object) -> Object:
        return {key: value for key, value in item["spec"].items() if key != "project"}
