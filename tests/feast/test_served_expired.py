"""Values past their view's ttl that are still in Redis, and the order of an answer's columns."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from world import World

from factories import a_feature, a_feature_view, a_project, an_entity
from featureplane.serving.app import serving
from patience import PATIENCE

NOW = datetime.now(UTC).replace(microsecond=0)
KEYS = ["fresh", "stale", "absent"]
FEATURES = ["zeta", "alpha", "mid"]
VIEWS = [
    a_feature_view(name, entities=[an_entity("shop")], features=[a_feature(each) for each in FEATURES], **ttl)
    for name, ttl in (("hourly", {"ttl": "1h"}), ("kept", {}))
]


def a_shop_project(kept: str) -> dict[str, Any]:
    return a_project(offlineStore={"type": "file", "dataRoot": {"uri": "/nowhere"}}, server={"expiredValues": kept})


@pytest.fixture(scope="module")
def world(make_world: Callable[[], World]) -> Iterator[World]:
    world = make_world()
    world.apply(a_shop_project("Status"), *VIEWS)
    patch = pytest.MonkeyPatch()
    for name, value in world.stores.environment().items():
        patch.setenv(name, value)
    fill(world.sdk(online=True))
    patch.undo()
    yield world
    world.close()


def fill(store: Any) -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    for name in ("hourly", "kept"):
        rows = [
            (
                EntityKey(join_keys=["shop"], entity_values=[Value(string_val=key)]),
                {feature: Value(float_val=place + 0.5) for place, feature in enumerate(FEATURES)},
                NOW - age,
                None,
            )
            for key, age in (("fresh", timedelta(minutes=1)), ("stale", timedelta(hours=2)))
        ]
        view = store.get_feature_view(name)
        store._get_provider().online_store.online_write_batch(store.config, view, rows, None)  # noqa: SLF001


def asked(world: World, kept: str, view: str, **more: Any) -> dict[str, Any]:
    project = world.declarations(a_shop_project(kept)).project
    with serving(project, world.stores, world.folder) as server:
        server.wait_until_ready()
        body = {"features": [f"{view}:zeta"], "entities": {"shop": KEYS}, **more}
        return dict(httpx.post(f"{server.url}/get-online-features", json=body, timeout=PATIENCE).json())


@pytest.mark.parametrize(("kept", "values"), [("Status", [0.5, 0.5, None]), ("Null", [0.5, None, None])])
def test_expired_values(world: World, kept: str, values: list[float | None]) -> None:
    column = asked(world, kept, "hourly")["results"][1]
    assert column["values"] == values
    assert column["statuses"] == ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"]
    assert column["event_timestamps"][1] == (NOW - timedelta(hours=2)).isoformat().replace("+00:00", "Z")


def test_without_a_ttl_nothing_expires(world: World) -> None:
    assert asked(world, "Null", "kept")["results"][1]["statuses"] == ["PRESENT", "PRESENT", "NOT_FOUND"]


def test_columns_come_in_the_order_of_the_request(world: World) -> None:
    order = ["kept:mid", "kept:zeta", "hourly:alpha", "kept:alpha"]
    answer = asked(world, "Status", "kept", features=order, full_feature_names=True)
    names = answer["metadata"]["feature_names"]
    assert names == ["shop", "kept__mid", "kept__zeta", "kept__alpha", "hourly__alpha"]
