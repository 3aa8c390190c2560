"""Clients that nobody changes: Feast's own SDK with `online_store: {type: remote}`, and curl."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import pytest
from test_served_answers import FEATURES, NOW, OBJECTS, TYPES, fill
from world import World

from featureplane.serving.app import serving
from patience import PATIENCE, until


class Stores(NamedTuple):
    """The SDK on our server, on Feast's server, and on Redis itself; and the URL of ours."""

    ours: Any
    feasts: Any
    redis: Any
    url: str


@pytest.fixture(scope="module")
def stores(make_world: Callable[[], World]) -> Iterator[Stores]:
    world = make_world()
    world.apply(*OBJECTS)
    patch = pytest.MonkeyPatch()
    for name, value in world.stores.environment().items():
        patch.setenv(name, value)
    redis = world.sdk(online=True)
    fill(redis)
    with (
        serving(world.declarations(*OBJECTS).project, world.stores, world.folder) as server,
        feasts_server(world.sdk(online=True)) as feasts_url,
    ):
        server.wait_until_ready()
        yield Stores(remote(world, server.url), remote(world, feasts_url), redis, server.url)
    patch.undo()
    world.close()


@contextmanager
def feasts_server(store: Any) -> Iterator[str]:
    """Feast's app on a port of its own."""
    import uvicorn
    from feast.feature_server import get_app

    server = uvicorn.Server(uvicorn.Config(get_app(store), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def remote(world: World, url: str) -> Any:
    """A store whose rows come from a server. It asks once more after a 500, behind which Feast's server closes its
    connection, and not three times.
    """
    store = world.sdk()
    online = {"type": "remote", "path": url, "connection_retries": 1}
    config = store.config.model_dump(by_alias=True, exclude={"online_store"})
    return type(store)(
        config=type(store.config)(**{**config, "registry": store.config.registry_config, "online_store": online})
    )


IDS: dict[str, tuple[list[str], dict[str, list[Any]]]] = {
    "whole numbers": (["all_types:f4", "all_types:f0", "more_of_drivers:trips"], {"driver_id": [1, 2, 99, 2**62]}),
    "texts": (["by_word:count", "by_word:f1"], {"word": ["a", "", "ü", "nobody"]}),
    "two entities": (["by_both:share"], {"word": ["a", "", "ü"], "driver_id": [1, 2, 3]}),
    "small numbers": (["by_floor:doors"], {"floor": [0, -1, 7]}),
    "views of several entities": (["by_word:count", "by_floor:doors", "by_both:share"], {
        "word": ["a", ""], "driver_id": [1, 2], "floor": [0, -1]
    }),
}  # fmt: skip


@pytest.mark.parametrize("full", [{}, {"full_feature_names": True}], ids=["short", "full"])
@pytest.mark.parametrize(("features", "entities"), IDS.values(), ids=IDS.keys())
def test_rows_in_any_form_are_those_of_redis(
    stores: Stores, features: list[str], entities: dict[str, list[Any]], full: dict[str, bool]
) -> None:
    import pandas as pd

    rows = [dict(zip(entities, row, strict=True)) for row in zip(*entities.values(), strict=True)]
    expected = stores.redis.get_online_features(features, entities, **full).to_dict()
    for form in (rows, entities, pd.DataFrame(entities)):
        assert stores.ours.get_online_features(features, form, **full).to_dict() == expected


def test_a_feature_service_is_that_of_redis(stores: Stores) -> None:
    entities = {"driver_id": [1, 2, 99], "word": ["a", "", "ü"]}
    ours, redis = (
        store.get_online_features(store.get_feature_service("few"), entities).to_dict()
        for store in (stores.ours, stores.redis)
    )
    assert ours == redis


def test_times_are_whole_seconds_as_json_has_them(stores: Stores) -> None:
    """The SDK knows no type of what a server answers: from Feast's it has the same."""
    asked = {"features": ["by_day:rain"], "entity_rows": {"day": [0, 86_400, 5]}}
    ours, feasts = (store.get_online_features(**asked).to_dict() for store in (stores.ours, stores.feasts))
    assert ours == feasts == {"day": [0, 86_400, 5], "rain": [None, 0.0, None]}


def test_values_of_every_type_are_those_of_feasts_server(stores: Stores) -> None:
    """Compared as messages: what JSON cannot say is lost with Feast's server just so."""
    # Of an empty list, and of lists of lists, the SDK cannot tell what they are of, and raises, whoever answers.
    features = [
        f"all_types:{name}" for name, kind in FEATURES.items() if [] not in TYPES[kind] and "Array(Array" not in kind
    ]
    ours, feasts = (
        store.get_online_features(features, {"driver_id": [1, 2, 3]}).proto for store in (stores.ours, stores.feasts)
    )

    def by_name(answer: Any) -> dict[str, Any]:
        return {
            name: [value.SerializeToString(deterministic=True) for value in result.values]  # noqa: PD011 - no frame
            for name, result in zip(answer.metadata.feature_names.val, answer.results, strict=True)
        }

    assert by_name(ours) == by_name(feasts)
    assert len(by_name(ours)) == len(features) + 1


def test_versions_are_told_where_they_are_asked_for(stores: Stores) -> None:
    asked = {
        "features": ["by_word:count"],
        "entity_rows": {"word": ["a"]},
        "include_feature_view_version_metadata": True,
    }
    ours, feasts = (store.get_online_features(**asked).proto.metadata for store in (stores.ours, stores.feasts))
    assert [each.name for each in ours.feature_view_metadata] == ["by_word"]
    assert list(ours.feature_view_metadata) == list(feasts.feature_view_metadata)


def test_what_does_not_exist_raises_feasts_own_errors(stores: Stores) -> None:
    from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException

    from feast import FeatureService

    for store in (stores.ours, stores.feasts):
        with pytest.raises(FeatureViewNotFoundException, match="no_such"):
            store.get_online_features(["no_such:x"], {"driver_id": [1]})
        with pytest.raises(FeatureServiceNotFoundException, match="no_such"):
            store.get_online_features(FeatureService(name="no_such", features=[]), {"driver_id": [1]})


def test_what_is_wrong_with_a_request_is_said_where_feasts_server_fails(stores: Stores) -> None:
    """A 500 is asked again by the SDK, with pauses, and then is an error of its HTTP library without a word of why."""
    from feast.errors import FeatureNameCollisionError
    from requests.exceptions import RequestException

    wrong: list[tuple[list[str], dict[str, list[Any]], type[Exception], str]] = [
        (
            ["by_word:count", "more_of_drivers:count"],
            {"word": ["a"], "driver_id": [1]},
            FeatureNameCollisionError,
            "count",
        ),
        (["by_word:no_such"], {"word": ["a"]}, RuntimeError, "404 .*no_such not found"),
        (["by_word:count"], {"driver_id": [1]}, RuntimeError, "422 .*Missing join key values for keys: .'word'"),
        (["by_floor:doors"], {"floor": ["x"]}, RuntimeError, "422 .*'x' is no Int32"),
    ]
    for features, entities, kind, message in wrong:
        with pytest.raises(kind, match=message):
            stores.ours.get_online_features(features, entities)
        with pytest.raises(RequestException):
            stores.feasts.get_online_features(features, entities)


def test_what_the_sdk_cannot_send_it_sends_to_no_server(stores: Stores) -> None:
    """Seconds and whole numbers are what it can, and so is a DataFrame of either."""
    import numpy as np
    import pandas as pd

    for store in (stores.ours, stores.feasts):
        with pytest.raises(TypeError, match="not JSON serializable"):
            store.get_online_features(["by_word:count"], [{"word": np.int64(1)}])
        with pytest.raises(TypeError, match="not JSON serializable"):
            store.get_online_features(["by_day:rain"], [{"day": NOW}])
        frame = pd.DataFrame({"driver_id": np.array([1, 99])})
        assert store.get_online_features(["more_of_drivers:trips"], frame).to_dict()["driver_id"] == [1, 99]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_needs_no_header(stores: Stores) -> None:
    """It sends JSON as a form's, which Feast's server refuses."""
    body = '{"features": ["by_word:count"], "entities": {"word": ["a", "nobody"]}}'
    command = ["curl", "-sS", "--noproxy", "*", f"{stores.url}/get-online-features", "-d", body]
    said = orjson.loads(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout)
    assert said["metadata"]["feature_names"] == ["word", "count"]
    assert said["results"][1]["statuses"] == ["PRESENT", "NOT_FOUND"]
