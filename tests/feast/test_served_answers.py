"""The fast path's answers: thousands of requests, each asked of Feast's own server on the same stores as well."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World

from factories import a_feature, a_feature_view, a_project, a_service, an_entity
from featureplane.serving.app import serving
from featureplane.serving.http.feast_routes import FEAST_ROUTES
from patience import PATIENCE

NOW = datetime.now(UTC).replace(microsecond=0)
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")
WORD = an_entity("word", joinKey="word", type="String")
DAY = an_entity("day", joinKey="day", type="UnixTimestamp")
FLOOR = an_entity("floor", joinKey="floor", type="Int32")

# A few values of each type as Feast's `python_values_to_proto_values` takes them.
TYPES: dict[str, list[Any]] = {
    "String": ["", "a", "Gänsefüßchen", "x" * 300],
    "Bytes": [b"", b"\x00\xff", b"a" * 200],
    "Bool": [True, False],
    "Int32": [0, -1, 2**31 - 1],
    "Int64": [0, 127, 128, -(2**63), 2**63 - 1],
    "Float32": [0.5, -1.25, math.nan, math.inf],
    "Float64": [0.1, 1e300, -math.inf],
    "UnixTimestamp": [NOW, datetime(1969, 1, 1, tzinfo=UTC)],
    "Json": ['{"a": [1, null]}'],
    "Uuid": ["6f8b9e0a-2f10-4c0e-9a3d-9f9f4f1b2c3d"],
    "Decimal": ["1.10"],
    "Array(String)": [["a", "ü"], []],
    "Array(Bytes)": [[b"a", b""]],
    "Array(Bool)": [[True, False]],
    "Array(Int32)": [[1, -1]],
    "Array(Int64)": [[1, 2**40]],
    "Array(Float32)": [[0.5, 1.5], [math.nan]],
    "Array(Float64)": [[0.1]],
    "Array(UnixTimestamp)": [[NOW]],
    "Set(Int64)": [{1, 2}],
    "Array(Array(Float64))": [[[1.0], [2.0, 3.0]]],
    "Struct({a: Int64, b: String})": [{"a": 1, "b": "x"}],
}
FEATURES = {f"f{index}": kind for index, kind in enumerate(TYPES)}
OBJECTS = [
    a_project(offlineStore={"type": "file", "dataRoot": {"uri": "/nowhere"}}),
    a_feature_view("all-types", entities=[DRIVER], features=[a_feature(name, kind) for name, kind in FEATURES.items()]),
    a_feature_view("by-word", entities=[WORD], features=[a_feature("count", "Int64"), a_feature("f1", "String")]),
    a_feature_view("by-both", entities=[WORD, DRIVER], features=[a_feature("share", "Float64")]),
    a_feature_view("by-day", entities=[DAY], features=[a_feature("rain", "Float32")]),
    a_feature_view("by-floor", entities=[FLOOR], features=[a_feature("doors", "Int32")]),
    a_feature_view(
        "more-of-drivers", entities=[DRIVER], features=[a_feature("trips", "Int64"), a_feature("count", "Int64")]
    ),
    a_service("few", views=[{"name": "all_types", "features": ["f4", "f0"]}, {"name": "by_word"}]),
    a_service("of-drivers", views=[{"name": "all_types"}, {"name": "more_of_drivers", "features": ["trips"]}]),
]
KEYS: dict[str, list[Any]] = {
    "driver_id": [1, 2, 3, -5, 2**62], "word": ["a", "", "ü", "no such"], "day": [0, 86_400, -86_400],
    "floor": [0, -1, 7],
}  # fmt: skip
VIEWS: dict[str, tuple[list[str], list[str]]] = {
    "all_types": (["driver_id"], list(FEATURES)),
    "by_word": (["word"], ["count", "f1"]),
    "by_both": (["word", "driver_id"], ["share"]),
    "by_day": (["day"], ["rain"]),
    "by_floor": (["floor"], ["doors"]),
    "more_of_drivers": (["driver_id"], ["trips", "count"]),
}
SERVICES = {"few": ["driver_id", "word"], "of_drivers": ["driver_id"]}


class Both:
    """Our server, and Feast's app in this process, on the same stores."""

    def __init__(self, world: World, url: str, feast: Any) -> None:
        self.world = world
        self.ours = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)
        self.feast = feast

    def ask(self, body: dict[str, Any]) -> tuple[httpx.Response, Any]:
        return self.ours.post("/get-online-features", json=body), self.feast.post("/get-online-features", json=body)


@pytest.fixture(scope="module")
def both(make_world: Callable[[], World]) -> Iterator[Both]:
    from feast.feature_server import get_app
    from starlette.testclient import TestClient

    world = make_world()
    world.apply(*OBJECTS)
    patch = pytest.MonkeyPatch()
    for name, value in world.stores.environment().items():
        patch.setenv(name, value)
    store = world.sdk(online=True)
    fill(store)
    with serving(world.declarations(*OBJECTS).project, world.stores, world.folder) as server:
        server.wait_until_ready()
        with TestClient(get_app(store, registry_ttl_sec=0), raise_server_exceptions=False) as feast:
            yield Both(world, server.url, feast)
    patch.undo()
    world.close()


def fill(store: Any) -> None:
    """Rows for some of the keys, of varying event times, a null here and there; none for the others."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    for name, (keys, features) in VIEWS.items():
        view = store.get_feature_view(name)
        kinds = {field.name: field.dtype.to_value_type() for field in (*view.features, *view.entity_columns)}
        rows = []
        for number in range(3):
            values = [python_values_to_proto_values([KEYS[key][number]], kinds[key])[0] for key in sorted(keys)]
            content = {}
            for place, feature in enumerate(features):
                some = TYPES[FEATURES[feature]] if name == "all_types" else SOME[name][feature]
                value = some[(number + place) % len(some)] if (number + place) % 4 else None
                content[feature] = python_values_to_proto_values([value], kinds[feature])[0]
            time = NOW - timedelta(days=number, microseconds=1_000 * number + place)
            rows.append((EntityKey(join_keys=sorted(keys), entity_values=values), content, time, None))
        store._get_provider().online_store.online_write_batch(store.config, view, rows, None)  # noqa: SLF001 - the SDK writes frames


SOME: dict[str, dict[str, list[Any]]] = {
    "by_word": {"count": [1, 2], "f1": ["b", "c"]},
    "by_both": {"share": [0.25]},
    "by_day": {"rain": [1.5, 0.0]},
    "by_floor": {"doors": [3]},
    "more_of_drivers": {"trips": [7, 12], "count": [1]},
}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if draw(st.booleans()):
        body["full_feature_names"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        body["feature_service"] = draw(st.sampled_from([*SERVICES, "no_such_service"]))
        keys = SERVICES.get(body["feature_service"], ["driver_id"])
    else:
        names = draw(st.lists(st.sampled_from(list(VIEWS)), min_size=1, max_size=3, unique=True))
        chosen = [(name, feature) for name in names for feature in draw(
            st.lists(st.sampled_from(VIEWS[name][1]), min_size=1, max_size=5, unique=draw(st.integers(0, 9)) > 0)
        )]  # fmt: skip
        body["features"] = draw(st.permutations([f"{name}:{feature}" for name, feature in chosen]))
        if draw(st.integers(0, 19)) == 0:
            body["features"].append(draw(st.sampled_from(["no_such:x", "by_word:no_such"])))
        keys = sorted({key for name in names for key in VIEWS[name][0]})
    rows = draw(st.integers(1, 6))
    body["entities"] = {
        key: draw(st.lists(st.sampled_from(KEYS[key]), min_size=rows, max_size=rows))
        for key in draw(st.permutations(keys))
    }
    if draw(st.integers(0, 9)) == 0:  # what no view asks for
        extra = draw(st.sampled_from([*sorted(KEYS.keys() - set(keys)), "unheard_of"]))
        body["entities"][extra] = [1] * rows
    if draw(st.integers(0, 5)) == 0:
        body["include_feature_view_version_metadata"] = True
    return body


def by_name(answer: dict[str, Any]) -> dict[str, tuple[list[Any], ...]]:
    """Columns by name: Feast's are in no order of their own within a view."""
    names = answer["metadata"]["feature_names"]
    return {
        name: (column["values"], column["statuses"], column["event_timestamps"])
        for name, column in zip(names, answer["results"], strict=True)
    }


def corrected(column: tuple[list[Any], ...], *, is_key: bool) -> tuple[list[Any], ...]:
    """What Feast would say if it told what is not there from what is null: such a row has no event time."""
    values, statuses, times = column
    if is_key:
        return column
    there = [time != "1970-01-01T00:00:00Z" for time in times]
    return values, [status if has else "NOT_FOUND" for status, has in zip(statuses, there, strict=True)], times


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_an_answer_is_feasts(both: Both, body: dict[str, Any]) -> None:
    ours, feast = both.ask(body)
    if not feast.is_success:
        assert ours.status_code in {404, 422}, (body, ours.text, feast.text)
        return
    assert ours.status_code == 200, (body, ours.text, feast.text)
    said, expected = orjson.loads(ours.content), feast.json()
    columns = by_name(expected)
    assert by_name(said) == {
        name: corrected(column, is_key=name in body["entities"]) for name, column in columns.items()
    }
    key = "feature_view_metadata"
    assert sorted(map(str, said["metadata"].get(key, []))) == sorted(map(str, expected["metadata"].get(key, [])))


def test_what_does_not_exist_is_said_in_feasts_words(both: Both) -> None:
    for body in (
        {"features": ["no_such:x"], "entities": {"driver_id": [1]}},
        {"feature_service": "no_such", "entities": {"driver_id": [1]}},
    ):
        ours, feast = both.ask(body)
        assert ours.status_code == feast.status_code == 404
        said, expected = orjson.loads(ours.json()), orjson.loads(feast.json())
        assert said.pop("request_id")
        assert said == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "no JSON object"),
        ({"features": ["by_word:count"]}, "entities: write an object of lists"),
        ({"features": ["by_word:count"], "entities": {"word": "a"}}, "entities.word: write a list"),
        ({"features": ["by_word:count"], "entities": {"driver_id": [1]}}, "Missing join key values for keys: ['word']"),
        ({"features": [], "entities": {"word": ["a"]}}, "No features specified"),
        ({"features": ["by_word:count"], "entities": {"word": [None]}}, "null is no String; write a text"),
        ({"features": ["by_floor:doors"], "entities": {"floor": [2**31]}}, "is no Int32"),
        ({"features": ["by_floor:doors"], "entities": {"floor": ["x"]}}, "'x' is no Int32"),
        ({"features": ["by_floor:doors"], "entities": {"floor": [[1]]}}, "is no Int32"),
        ({"features": ["by_both:share"], "entities": {"word": ["a"], "driver_id": [1, 2]}}, "must have the same"),
        ({"features": "by_word:count", "entities": {"word": ["a"]}}, "features: write a list"),
        ({"features": ["by_word:count"], "full_feature_names": 1, "entities": {"word": ["a"]}}, "write true or false"),
        ({"features": ["by_word:count"] * 2, "entities": {"word": ["a"]}}, "Duplicate features named count"),
        ({"features": ["by_word:no_such"], "entities": {"word": ["a"]}}, "by_word, which has count, f1"),
        ({"features": ["by-word:count"], "entities": {"word": ["a"]}}, "in project feast; write by_word"),
        ({"feature_service": "of-drivers", "entities": {"driver_id": [1]}}, "; write of_drivers"),
        ({"features": ["by_word:"], "entities": {"word": ["a"]}}, "features: 'by_word:' names no feature"),
        ({"features": [":count"], "entities": {"word": ["a"]}}, "names no feature; write view:feature"),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_told_what_is(both: Both, body: Any, why: str) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = both.ours.post("/get-online-features", content=content)
    assert answer.status_code in {404, 422}
    assert why in answer.text
    assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize("names", [("driver_id", "driver"), ("driver", "driver_id")])
def test_a_key_by_both_of_its_names_is_refused_where_feast_takes_the_last(both: Both, names: tuple[str, str]) -> None:
    body = {"features": ["all_types:f5"], "entities": {names[0]: [1], names[1]: [2]}}
    ours, feast = both.ask(body)
    assert ours.status_code == 422
    assert "driver" in ours.json()["message"]
    last = both.feast.post("/get-online-features", json={**body, "entities": {"driver_id": [2]}})
    assert by_name(feast.json())["f5"][0] == by_name(last.json())["f5"][0] != []


@pytest.mark.parametrize("key", [1.5, -0.5, True])
def test_a_fraction_is_no_key(both: Both, key: Any) -> None:
    ours, feast = both.ask({"features": ["all_types:f5"], "entities": {"driver_id": [key]}})
    assert by_name(feast.json())["driver_id"][0] == [int(key)]
    assert ours.status_code == 422
    assert f"entities.driver_id: {json.dumps(key)} is no Int64; write whole numbers from -922337203" in ours.text


def test_a_feature_that_a_view_has_not_is_no_fault_of_the_servers(both: Both) -> None:
    ours, feast = both.ask({"features": ["by_word:nothing"], "entities": {"word": ["a"]}})
    assert (ours.status_code, feast.status_code) == (404, 500)


def test_a_view_by_itself_means_all_its_features(both: Both) -> None:
    answer = both.ours.post("/get-online-features", json={"features": ["by_word"], "entities": {"word": ["a"]}}).json()
    assert answer["metadata"]["feature_names"] == ["word", "count", "f1"]


def test_values_are_taken_as_their_type_has_them(both: Both) -> None:
    body = {"features": ["by_floor:doors", "by_word:count"], "entities": {"floor": ["-1", 0.0], "word": [1, True]}}
    ours, feast = both.ask(body)
    assert by_name(ours.json())["floor"][0] == by_name(feast.json())["floor"][0] == [-1, 0]
    assert by_name(ours.json())["word"][0] == by_name(feast.json())["word"][0] == ["1", "True"]


def test_other_routes_are_feasts(both: Both) -> None:
    assert both.ours.get("/openapi.json").json()["info"] == both.feast.get("/openapi.json").json()["info"]
    assert both.ours.get("/chat").headers["content-type"].startswith("text/html")
    assert both.ours.get("/nothing/here").status_code == 404


def test_a_body_may_not_be_of_any_length(both: Both) -> None:
    body = orjson.dumps({"features": ["by_word:count"], "entities": {"word": ["a" * 2_000_000]}})
    assert both.ours.post("/get-online-features", content=body).status_code == 413

    def pieces() -> Iterator[bytes]:
        yield from (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    assert both.ours.post("/get-online-features", content=pieces()).status_code == 413
    many = {"features": ["by_word:count"], "entities": {"word": ["a"] * 10_001}}
    assert both.ours.post("/get-online-features", json=many).status_code == 413


def test_the_routes_that_are_passed_on_are_feasts(both: Both) -> None:
    found: dict[str, set[str]] = {}
    for route in both.feast.app.routes:
        if methods := getattr(route, "methods", None):
            found.setdefault(route.path, set()).update(methods)
    # Answered here, and for HEAD as well.
    found["/health"].add("HEAD")
    assert {path: set(methods) for path, methods in FEAST_ROUTES.items() if path != "/static/{path}"} == found
