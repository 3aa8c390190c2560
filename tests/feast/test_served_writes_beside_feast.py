"""Pushes on a registry that only Feast ever wrote, and to views that only Feast can write."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from world import World

from factories import a_project
from featureplane.registry.database import ensure_database
from featureplane.serving.app import serving
from patience import PATIENCE

NOW = datetime.now(UTC).replace(microsecond=0)
PROJECT = a_project(
    server={"writes": {"enabled": True}},
    offlineStore={"type": "file", "dataRoot": {"uri": "/nowhere"}},
    registry={"trustUserDefinedFunctions": True},
)


class Served:
    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)

    def push(self, source: str, **row: Any) -> httpx.Response:
        columns = {"driver_id": 1, "event_timestamp": NOW.isoformat(), **row}
        df = {name: [value] for name, value in columns.items()}
        return self.http.post("/push", json={"push_source_name": source, "df": df})

    def read(self, *features: str) -> list[Any]:
        asked = {"features": list(features), "entities": {"driver_id": [1]}}
        answer = self.http.post("/get-online-features", json=asked).json()
        return [column["values"][0] for column in answer["results"][1:]]


@pytest.fixture(scope="module")
def served(make_bare_world: Callable[..., World]) -> Iterator[Served]:
    world = make_bare_world()
    ensure_database(world.stores.postgres)
    apply(world.sdk())
    with serving(world.declarations(PROJECT).project, world.stores, world.folder) as server:
        server.wait_until_ready()
        yield Served(world, server.url)
    world.close()


def apply(store: Any) -> None:
    from feast.labeling import LabelView
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float32, Int64, String
    from feast.value_type import ValueType

    from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource

    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(name="file", path="/nowhere/rows.parquet", timestamp_field="event_timestamp")
    pushes = {
        name: PushSource(name=name, batch_source=source) for name in ("shared", "precomputed", "vectors", "labels")
    }

    def view(name: str, push: str, *fields: Any) -> Any:
        return FeatureView(
            name=name, entities=[driver], ttl=timedelta(hours=1), source=pushes[push],
            schema=[Field(name="driver_id", dtype=Int64), *fields],
        )  # fmt: skip

    from feast.types import Array

    vector = Field(name="vector", dtype=Array(Float32), vector_index=True, vector_search_metric="L2")
    views = [
        view("trips", "shared", Field(name="count", dtype=Int64)),
        view("rates", "shared", Field(name="rate", dtype=Float32)),
        view("ranks", "precomputed", Field(name="rank", dtype=Int64)),
        view("plain", "vectors", Field(name="size", dtype=Int64)),
        view("vectors", "vectors", vector),
    ]
    labels = LabelView(
        name="labels", entities=[driver], source=pushes["labels"], labeler_field="labeler",
        schema=[
            *(Field(name=name, dtype=Int64) for name in ("driver_id", "grade")),
            Field(name="labeler", dtype=String),
        ],
    )  # fmt: skip
    store.apply([driver, *views, view("graded", "labels", Field(name="grade", dtype=Int64)), labels])

    @on_demand_feature_view(sources=[views[0]], schema=[Field(name="twice", dtype=Int64)], mode="python")
    def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"twice": [2 * count for count in inputs["count"]]}

    store.apply([doubled])
    service = FeatureService(name="model", features=[views[2]], precompute_online=True)
    store.apply([service])


def test_all_views_of_a_push_source_are_written_together(served: Served) -> None:
    answer = served.push("shared", count=5, rate=0.5)
    assert (answer.status_code, answer.headers["x-featureplane-rows-written"]) == (200, "2")
    assert served.read("trips:count", "rates:rate") == [5, 0.5]
    later = (NOW + timedelta(seconds=1)).isoformat()
    df = {"driver_id": [1], "count": [6], "event_timestamp": [later]}
    assert served.http.post("/write-to-online-store", json={"feature_view_name": "trips", "df": df}).is_success
    answer = served.push("shared", count=7, rate=0.75)
    assert (answer.headers["x-featureplane-rows-written"], answer.headers["x-featureplane-rows-older"]) == ("1", "1")
    assert served.read("trips:count", "rates:rate") == [6, 0.75]
    assert served.push("shared", count=8, rate="x").status_code == 422


def test_an_on_demand_view_keeps_nobody_from_pushing_to_what_it_is_made_of(served: Served) -> None:
    assert served.push("shared", driver_id=3, count=5, rate=0.5).is_success
    asked = {"features": ["doubled:twice"], "entities": {"driver_id": [3]}}
    answer = served.http.post("/get-online-features", json=asked).json()
    assert answer["results"][-1]["values"] == [10]


def test_without_tables_of_ours_no_row_expires_as_with_feast(served: Served) -> None:
    served.push("shared", driver_id=2, count=5, rate=0.5)
    assert {served.world.redis.ttl(key) for key in served.world.redis.scan_iter()} == {-1}


@pytest.mark.parametrize(
    ("source", "row", "feature"),
    [
        ("precomputed", {"rank": 3}, "ranks:rank"),
        ("vectors", {"size": 3, "vector": [1.0, 2.0]}, "plain:size"),
        ("labels", {"grade": 3, "labeler": "me"}, "graded:grade"),
    ],
)
def test_what_takes_more_than_writing_is_checked_and_left_to_feast(
    served: Served, source: str, row: dict[str, Any], feature: str
) -> None:
    wrong = {name: "x" if value == 3 else value for name, value in row.items()}
    assert served.push(source, **wrong).status_code == 422
    answer = served.push(source, **row)
    assert answer.status_code == 200, answer.text
    assert "x-featureplane-rows-written" not in answer.headers
    assert served.read(feature) == [3]
