"""A view of three prices, its world, and an engine that copies it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from runs_of_tests import write
from world import World

from factories import Object, a_feature_view, a_project
from featureplane.materialization.run import Materializer, materializer


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write(tmp_path, [1.0, 2.0, 3.0])
    return tmp_path


@pytest.fixture
def project(lake: Path) -> Object:
    return a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(lake)}})


@pytest.fixture
def world(world: World, project: Object) -> World:
    world.apply(project, a_feature_view())
    return world


@pytest.fixture
def engine(world: World, project: Object, lake: Path) -> Iterator[Materializer]:
    with materializer(world.declarations(project, a_feature_view()).project, world.stores, lake) as made:
        yield made
