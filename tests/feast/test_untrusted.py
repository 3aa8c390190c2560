"""Feast executes Python that it finds in registry rows. What somebody planted there is found before Feast sees it."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from world import World

from factories import a_feature_view, a_project, a_service
from featureplane.errors import UnreadableRow, UntrustedRegistry
from featureplane.materialization.history import FAILED
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.registry import catalogue, protos
from featureplane.registry.database import begin
from featureplane.serving.app import serving
from patience import PATIENCE

PLANTED = "commodity_prices"


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that planted code makes when it runs."""
    return tmp_path / "it-ran"


@pytest.fixture
def world(world: World) -> World:
    """A registry that Feast has made its tables in."""
    world.apply(a_feature_view("harmless"))
    world.the_writer.close()
    return world


def plant(world: World, table: str, name: str, message: Any, project: str = "feast") -> None:
    """A row such as anybody with write access to the registry can add."""
    plant_bytes(world, table, name, message.SerializeToString(), project)


KINDS = {
    "data_sources": "data_source", "feature_services": "feature_service", "entities": "entity", "projects": "project",
}  # fmt: skip


def plant_bytes(world: World, table: str, name: str, content: bytes, project: str = "feast") -> None:
    kind = KINDS.get(table, "feature_view")
    with world.sql() as connection:
        connection.execute(
            f"INSERT INTO {table} ({kind}_name, project_id, last_updated_timestamp, {kind}_proto) "
            "VALUES (%s, %s, 0, %s)",
            [name, project, content],
        )


def give_code(function: Any, mark: Path) -> None:
    """Source that makes the file as soon as it is executed, which is when Feast loads the object."""
    function.name = "f"
    function.body = b"-"
    function.body_text = f"open({str(mark)!r}, 'w').close()\ndef f(inputs):\n    return inputs\n"


def on_demand_view(mark: Path) -> Any:
    view = protos.OnDemandFeatureView()
    view.spec.name = PLANTED
    view.spec.mode = "python"
    give_code(view.spec.feature_transformation.user_defined_function, mark)
    view.spec.feature_transformation.user_defined_function.mode = "python"
    view.spec.features.add(name="x", value_type=2)
    return view


def stream_view(mark: Path) -> Any:
    view = protos.StreamFeatureView()
    view.spec.name = PLANTED
    view.spec.mode = "python"
    give_code(view.spec.user_defined_function, mark)
    return view


def transformed_view(mark: Path) -> Any:
    view = protos.FeatureView()
    view.spec.name = PLANTED
    give_code(view.spec.feature_transformation.user_defined_function, mark)
    return view


def foreign_source() -> Any:
    source = protos.DataSource(name="s", type=protos.DataSource.CUSTOM_SOURCE, timestamp_field="ts")
    source.data_source_class_type = "planted_module.Source"
    return source


def view_with(place: str) -> Any:
    """A view that holds the foreign source somewhere inside."""
    view = protos.FeatureView()
    view.spec.name = PLANTED
    if place == "push":
        view.spec.stream_source.name = "p"
        view.spec.stream_source.type = protos.DataSource.PUSH_SOURCE
        view.spec.stream_source.batch_source.CopyFrom(foreign_source())
    elif place == "source view":
        view.spec.source_views.add().batch_source.CopyFrom(foreign_source())
    else:
        view.spec.batch_source.CopyFrom(foreign_source())
    return view


def service_with_source() -> Any:
    service = protos.FeatureService()
    service.spec.name = PLANTED
    service.spec.features.add(feature_view_name="x").batch_source.CopyFrom(foreign_source())
    return service


def label_view() -> Any:
    view = protos.LabelView()
    view.spec.name = PLANTED
    view.spec.source.CopyFrom(foreign_source())
    return view


def on_demand_view_of_source() -> Any:
    view = protos.OnDemandFeatureView()
    view.spec.name = PLANTED
    view.spec.sources["x"].feature_view_projection.batch_source.CopyFrom(foreign_source())
    return view


PLANTS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "on-demand view": ("on_demand_feature_views", on_demand_view, "a Python function"),
    "stream view": ("stream_feature_views", stream_view, "a Python function"),
    "transformed view": ("feature_views", transformed_view, "a Python function"),
    "source": ("data_sources", lambda _: foreign_source(), "the class planted_module.Source"),
    "view's source": ("feature_views", lambda _: view_with("batch"), "the class planted_module.Source"),
    "source behind push": ("feature_views", lambda _: view_with("push"), "the class planted_module.Source"),
    "view of a view": ("feature_views", lambda _: view_with("source view"), "the class planted_module.Source"),
    "service": ("feature_services", lambda _: service_with_source(), "the class planted_module.Source"),
    "label view": ("label_views", lambda _: label_view(), "the class planted_module.Source"),
    "on-demand view's source": (
        "on_demand_feature_views",
        lambda _: on_demand_view_of_source(),
        "the class planted_module.Source",
    ),
}


@pytest.mark.parametrize(("table", "make", "what"), PLANTS.values(), ids=PLANTS.keys())
def test_a_writer_refuses_before_feast_sees_the_row(
    world: World, mark: Path, table: str, make: Callable[[Path], Any], what: str
) -> None:
    plant(world, table, PLANTED, make(mark))
    before = world.rows()["public.feature_views"]
    with pytest.raises(UntrustedRegistry, match=f"'{PLANTED}', {what}"):
        world.writer().apply(world.plan(a_feature_view("new")))
    assert not mark.exists()
    assert world.rows()["public.feature_views"] == before


def test_code_in_another_project_of_the_database_is_not_run_and_in_nobodys_way(world: World, mark: Path) -> None:
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark), "another")
    world.writer().apply(world.plan(a_feature_view("new")))
    assert ("feature_view", "new") in world.registered_keys()
    assert not mark.exists()


@pytest.mark.parametrize("table", ["feature_views", "entities", "data_sources", "on_demand_feature_views", "projects"])
def test_a_row_of_another_project_that_cannot_be_read_is_in_nobodys_way(world: World, table: str) -> None:
    plant_bytes(world, table, PLANTED, b"\xff", "another")
    world.writer().apply(world.plan(a_feature_view("new")))
    assert ("feature_view", "new") in world.registered_keys()


def test_a_row_of_the_project_that_cannot_be_read_is_named(world: World) -> None:
    plant_bytes(world, "feature_views", PLANTED, b"\xff")
    with pytest.raises(UnreadableRow, match=f"feature view '{PLANTED}' of project 'feast' cannot be read; restore it"):
        world.registered()


def test_code_that_comes_while_the_writer_is_open_is_found_too(world: World, mark: Path) -> None:
    writer = world.writer()
    writer.apply(world.plan(a_feature_view("harmless", ttl="1d")))
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    plan = world.plan(a_feature_view("harmless", ttl="2d"))
    with pytest.raises(UntrustedRegistry):
        writer.apply(plan)
    with pytest.raises(UntrustedRegistry):
        writer.fold()
    assert not mark.exists()


def test_a_writer_that_is_refused_fences_nobody(world: World, mark: Path) -> None:
    working = world.writer()
    epoch = working.open()
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    with pytest.raises(UntrustedRegistry):
        world.writer().open()
    assert working.open() == epoch


def test_without_the_look_feast_would_run_it(world: World, mark: Path) -> None:
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    with suppress(Exception):  # whatever Feast makes of the rest of the object
        world.sdk().registry.get_any_feature_view(PLANTED, "feast")
    assert mark.exists()


def test_a_project_that_trusts_its_registry_works_with_it(world: World) -> None:
    plant(world, "on_demand_feature_views", "other", on_demand_view_of_source())
    project = a_project(registry={"trustUserDefinedFunctions": True})
    writer = world.writer(world.declarations(project).project)
    writer.apply(world.plan(project, a_feature_view("new")))
    assert ("feature_view", "new") in world.registered_keys()


def test_the_remedy_is_said(world: World, mark: Path) -> None:
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    with pytest.raises(UntrustedRegistry, match=r"remove it, or set registry\.trustUserDefinedFunctions"):
        world.writer().open()


def test_reading_the_catalogue_runs_nothing(world: World, mark: Path) -> None:
    for table, make, _ in {table: (table, make, _) for table, make, _ in reversed(PLANTS.values())}.values():
        plant(world, table, PLANTED, make(mark))
    found = {(item.kind, item.name) for item in world.registered().foreign}
    assert {("on_demand_feature_view", PLANTED), ("stream_feature_view", PLANTED), ("feature_view", PLANTED)} <= found
    assert not mark.exists()


def test_an_ordinary_registry_holds_no_code(world: World) -> None:
    world.apply(a_feature_view("harmless"), a_feature_view("pushed", push={"enabled": True}))
    with begin(world.engine, world.stores.postgres) as connection:
        assert catalogue.python_code(connection) == []


def test_an_empty_database_holds_no_code(bare_world: World) -> None:
    bare_world.registered()
    with begin(bare_world.engine, bare_world.stores.postgres) as connection:
        assert catalogue.python_code(connection) == []


def test_the_catalogue_never_imports_feast_and_leaves_it_importable() -> None:
    script = """
import sys
import featureplane.registry.catalogue, featureplane.registry.writer, featureplane.registry.importing
assert "feast" not in sys.modules
import feast
assert feast.FeatureStore and feast.__file__
from feast.protos.feast.core.FeatureView_pb2 import FeatureView
assert FeatureView is featureplane.registry.protos.FeatureView
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


def test_planted_code_is_not_served_and_other_views_are(world: World, mark: Path, tmp_path: Path) -> None:
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    project = world.declarations(a_project()).project
    with serving(project, world.stores, tmp_path) as server:
        server.wait_until_ready()

        def ask(feature: str) -> httpx.Response:
            request = {"features": [feature], "entities": {"commodity": ["gold"]}}
            return httpx.post(f"{server.url}/get-online-features", json=request, timeout=PATIENCE)

        planted, harmless = ask(f"{PLANTED}:x"), ask("harmless")
    assert (planted.status_code, harmless.status_code, mark.exists()) == (501, 200, False), planted.text
    assert "trustUserDefinedFunctions" in planted.text


def test_no_run_of_feasts_engine_is_started_on_planted_code(world: World, mark: Path, tmp_path: Path) -> None:
    plant(world, "on_demand_feature_views", PLANTED, on_demand_view(mark))
    # Our own engine never asks Feast for a registry's objects; another one does.
    project = world.declarations(a_project(batchEngine={"type": "local"})).project
    task = Task("harmless", BEGINNING, datetime.now(UTC), "hourly")
    with materializer(project, world.stores, tmp_path) as engine:
        (run,) = engine.run([task])
    assert (run.result, mark.exists()) == (FAILED, False)
    assert "Feast would execute" in run.message


def test_a_view_whose_unreadable_row_was_deleted_is_written_anew(world: World) -> None:
    objects = [a_feature_view(), a_service()]
    world.apply(*objects)
    with world.sql() as connection:
        connection.execute("UPDATE feature_views SET feature_view_proto = '\\xff'")
    with pytest.raises(UnreadableRow):
        world.registered()
    with world.sql() as connection:
        connection.execute("DELETE FROM feature_views")
    world.apply(*objects)
    assert ("feature_view", "commodity_prices") in world.registered_keys()
