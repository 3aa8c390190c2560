"""A project of Feast's that keeps rows of each version of a view, which only its feature_store.yaml says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import feasts
import httpx
import pytest
from test_drop_in import assert_is_feasts, serving
from test_served_answers import by_name
from world import World

from cli.commands import Place

KEYS = {"entities": {"driver_id": [1, 2, 99]}}


@pytest.fixture(scope="module")
def both(make_bare_world: Callable[..., World]) -> Iterator[tuple[httpx.Client, Any]]:
    """The command's server and Feast's own: of the drivers there are two versions, of all other views one."""
    from feast.feature_server import get_app
    from starlette.testclient import TestClient

    from feast import FeatureStore

    world = make_bare_world()
    folder = feasts.applied(world, enable_online_feature_view_versioning=True)
    feasts.materialize(world, folder)
    definitions = folder / "definitions.py"
    text = definitions.read_text()
    of_drivers = 'driver_key, trips, rate, Field(name="tags", dtype=Array(String))'
    assert of_drivers in text
    definitions.write_text(text.replace(of_drivers, of_drivers + ', Field(name="doors", dtype=Int32)'))
    feasts.feast(world, folder, "apply")
    feasts.materialize(world, folder)
    with ExitStack() as stack:
        ours = stack.enter_context(
            serving(Place(folder), None, "--feast-repo", folder, "--trust-user-defined-functions")
        )
        app = get_app(FeatureStore(repo_path=str(folder)), registry_ttl_sec=0)
        yield ours, stack.enter_context(TestClient(app, raise_server_exceptions=False))


@pytest.mark.parametrize(
    "wanted",
    [
        {"features": ["drivers:trips", "drivers:doors"]},
        {"features": ["words:count"], "entities": {"word": ["a", "nobody"]}},
        {"feature_service": "of_drivers"},
        {
            "feature_service": "of_travels",
            "full_feature_names": True,
            "entities": {"origin_id": [1], "destination_id": [2]},
        },
        {"features": ["drivers:trips"], "include_feature_view_version_metadata": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("names", [{}, {"full_feature_names": True}], ids=["short", "full"])
def test_the_newest_versions_rows_are_served(
    both: tuple[httpx.Client, Any], wanted: dict[str, Any], names: dict[str, bool]
) -> None:
    body = {**KEYS, **names, **wanted}
    ours, feast = (client.post("/get-online-features", json=body) for client in both)
    assert feast.is_success
    assert_is_feasts(ours, feast, body)
    assert any(value is not None for column in list(by_name(ours.json()).values())[1:] for value in column[0])


@pytest.mark.parametrize(
    "features", [["drivers@v0:trips"], ["drivers@v1:trips"], ["drivers@v0:trips", "drivers:rate"]], ids=str
)
def test_a_version_that_is_named_is_answered_by_feasts_own_app(
    both: tuple[httpx.Client, Any], features: list[str]
) -> None:
    body = {**KEYS, "features": features}
    ours, feast = (client.post("/get-online-features", json=body) for client in both)
    assert (ours.status_code, feast.status_code) == (200, 200)
    assert by_name(ours.json()) == by_name(feast.json())
    assert by_name(ours.json())["trips"][0] == [5, None, None]
