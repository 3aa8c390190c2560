"""`featureplane serve` on a project that only Feast has written: by roles that may only read, and nothing changes."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import feasts
import httpx
import pytest
import yaml
from feasts import PROJECT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_served_answers import by_name, corrected
from world import World

from cli.commands import BIN, Place
from featureplane.settings import PostgresAddress, Stores
from patience import PATIENCE

KEYS: dict[str, list[Any]] = {
    "driver_id": [1, 2, 3, -4, 99], "word": ["a", "ü", "", "a b", "nobody"], "floor": [0, 1, -1, 7, 99],
    "day": [1704067200, 1704153600, 1704240000, 5],
}  # fmt: skip
VIEWS: dict[str, tuple[list[str], list[str]]] = {
    "drivers": (["driver_id"], ["trips", "rate", "tags"]),
    "words": (["word"], ["count"]),
    "pairs": (["word", "driver_id"], ["share"]),
    "days": (["day"], ["rain"]),
    "floors": (["floor"], ["doors"]),
    "fresh": (["driver_id"], ["speed"]),
    "totals": ([], ["all_trips", "all_rates"]),
    "naïve view": (["driver_id"], ["größe (cm)", "a.b-c d"]),
    "clicks": (["driver_id"], ["clicked"]),
    "doubled": (["driver_id"], ["doubled"]),
    "resting": (["driver_id"], ["naps"]),
}
SERVICES = {
    "of_drivers": ["driver_id"], "of_all": ["word", "driver_id"], "of_clicks": ["driver_id"],
    "of_travels": ["origin_id", "destination_id"], "of_other_names": ["word", "driver_id"], "of_doubles": ["driver_id"],
    "of_resting": ["driver_id"],
}  # fmt: skip
WITH_CODE = {"doubled", "of_doubles"}


class Served(NamedTuple):
    """The two commands' servers, and Feast's own app in this process."""

    world: World
    named: httpx.Client
    of_repo: httpx.Client
    feast: Any
    before: Any


@pytest.fixture(scope="module")
def served(make_bare_world: Callable[..., World]) -> Iterator[Served]:
    from feast.feature_server import get_app
    from starlette.testclient import TestClient

    from feast import FeatureStore

    world = make_bare_world()
    folder = feasts.applied(world)
    feasts.materialize(world, folder)
    readers = only_reading(world)
    place = Place(world.folder)
    repo = place.write("reading/feature_store.yaml", yaml.safe_dump(feasts.config(readers))).parent
    before = everything(world)
    with ExitStack() as stack:
        named = stack.enter_context(serving(place, readers, "--registered", "--project", PROJECT))
        of_repo = stack.enter_context(serving(place, None, "--feast-repo", repo, "--trust-user-defined-functions"))
        app = get_app(FeatureStore(repo_path=str(folder)), registry_ttl_sec=0)
        feast = stack.enter_context(TestClient(app, raise_server_exceptions=False))
        yield Served(world, named, of_repo, feast, before)


@contextmanager
def serving(place: Place, stores: Stores | None, *arguments: str | Path) -> Iterator[httpx.Client]:
    """A client of the command's server. Without `stores` the environment names none."""
    with (
        started(place, stores, *arguments) as said,
        httpx.Client(base_url=said.split()[-1], trust_env=False, timeout=PATIENCE) as client,
    ):
        yield client


@contextmanager
def started(place: Place, stores: Stores | None, *arguments: str | Path) -> Iterator[str]:
    """Its server, and what it says of where it is."""
    env = stores.environment() if stores else {}
    command = [BIN / "featureplane", "serve", *arguments, "--port", "0"]
    with (
        (place.folder / "server.log").open("a") as log,
        subprocess.Popen(command, env=place.environment(env), stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith(f"serving {PROJECT} at http://"), said
        yield said
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def only_reading(world: World) -> Stores:
    """The stores by a role and a user that may write nothing."""
    with world.sql() as connection:
        connection.execute(
            "CREATE ROLE only_reading LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reading"
        )
    world.redis.acl_setuser(
        "only_reading", enabled=True, passwords=["+secret"], keys=["*"], commands=["+hmget", "+select", "+@connection"]
    )
    postgres = PostgresAddress({**world.stores.postgres.keywords, "user": "only_reading"})
    return Stores(postgres, replace(world.stores.redis, username="only_reading", password="secret"))


def everything(world: World) -> tuple[Mapping[str, Any], ...]:
    """Every schema, table and row of the database, and every key of Redis."""
    schemas = world.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp' ORDER BY 1")
    objects = world.query("SELECT relnamespace::regnamespace::text, relname, relkind FROM pg_class ORDER BY 1, 2")
    redis = {key: world.redis.dump(key) for key in world.redis.scan_iter()}
    return {"schemas": schemas}, {"objects": objects}, world.rows(), redis


@st.composite
def requests(draw: st.DrawFn, views: Mapping[str, Any], services: Mapping[str, list[str]]) -> dict[str, Any]:
    body: dict[str, Any] = {"full_feature_names": draw(st.booleans())}
    if draw(st.booleans()):
        body["feature_service"] = draw(st.sampled_from(sorted(services)))
        keys = services[body["feature_service"]]
    else:
        names = draw(st.lists(st.sampled_from(sorted(views)), min_size=1, max_size=3, unique=True))
        chosen = [(name, feature) for name in names for feature in draw(
            st.lists(st.sampled_from(views[name][1]), min_size=1, max_size=3, unique=True)
        )]  # fmt: skip
        body["features"] = draw(st.permutations([f"{name}:{feature}" for name, feature in chosen]))
        keys = sorted({key for name in names for key in views[name][0]})
    rows = draw(st.integers(1, 5))
    if draw(st.integers(0, 5)) == 0 or not keys:
        keys = [
            *keys,
            "unheard_of"
            if body.get("feature_service") == "of_travels"
            else draw(st.sampled_from(["driver_id", "unheard_of"])),
        ]
    body["entities"] = {
        key: [draw(st.sampled_from(KEYS.get(key, KEYS["driver_id"]))) for _ in range(rows)] for key in keys
    }
    if draw(st.booleans()):
        body["include_feature_view_version_metadata"] = True
    return body


def assert_is_feasts(ours: httpx.Response, feast: Any, body: dict[str, Any]) -> None:
    """Equal, but for what docs/serving.md tells: what is not there, what is too old, and refusals by their status."""
    if not feast.is_success:
        assert ours.status_code in {404, 422}, (body, ours.text, feast.text)
        return
    assert ours.status_code == 200, (body, ours.text, feast.text)
    said, expected = ours.json(), feast.json()
    assert by_name(said).keys() == by_name(expected).keys()
    for name, column in by_name(said).items():
        wanted = corrected(by_name(expected)[name], is_key=name in body["entities"])
        assert column == (too_old(wanted) if name.endswith("speed") else wanted), (name, body)
    versions = [sorted(map(str, each["metadata"].get("feature_view_metadata", []))) for each in (said, expected)]
    assert versions[0] == versions[1]


def too_old(column: tuple[list[Any], ...]) -> tuple[list[Any], ...]:
    """As of the view with a ttl of a day: its first row alone is younger."""
    values, statuses, times = column
    return values, [
        "OUTSIDE_MAX_AGE" if status == "PRESENT" and value != 1.0 else status
        for value, status in zip(values, statuses, strict=True)
    ], times  # fmt: skip


def without_code(held: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in held.items() if name not in WITH_CODE}


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests(without_code(VIEWS), without_code(SERVICES)))
def test_a_project_that_is_named_is_served_as_feast_serves_it(served: Served, body: dict[str, Any]) -> None:
    feast = served.feast.post("/get-online-features", json=body)
    assert_is_feasts(served.named.post("/get-online-features", json=body), feast, body)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests(VIEWS, SERVICES))
def test_a_repos_project_is_served_on_demand_views_too(served: Served, body: dict[str, Any]) -> None:
    feast = served.feast.post("/get-online-features", json=body)
    ours = served.of_repo.post("/get-online-features", json=body)
    is_left_to_feast = "doubled" in str(body) or "of_doubles" in str(body)
    if is_left_to_feast:  # every word of the answer is Feast's, but for exceptions that say more than of the request
        assert ours.status_code == feast.status_code
        if feast.status_code == 500 and isinstance(ours.json(), dict):
            assert ours.json()["request_id"] == ours.headers["x-request-id"]
            return
        assert sorted_columns(ours.json()) == sorted_columns(feast.json())
    else:
        assert_is_feasts(ours, feast, body)


def sorted_columns(answer: Any) -> Any:
    return by_name(answer) if isinstance(answer, dict) else answer


def test_code_that_nobody_trusts_is_not_executed_and_the_client_is_told(served: Served) -> None:
    for wanted in ({"features": ["doubled:doubled"]}, {"feature_service": "of_doubles"}):
        for _ in range(2):
            answer = served.named.post("/get-online-features", json={**wanted, "entities": {"driver_id": [1]}})
            assert answer.status_code == 501
            assert "--trust-user-defined-functions" in answer.json()["message"]
            assert PROJECT not in answer.text


def test_who_writes_is_told_of_the_project_that_opens_it(served: Served) -> None:
    for ours in (served.named, served.of_repo):
        for path in ("/push", "/write-to-online-store"):
            answer = ours.post(path, json={})
            assert answer.status_code == 403
            assert "featureplane serve --registered project.yaml" in answer.json()["message"]


def test_a_view_that_is_disabled_says_so(served: Served) -> None:
    answer = served.named.post(
        "/get-online-features", json={"features": ["resting:naps"], "entities": {"driver_id": [1]}}
    )
    assert answer.status_code == 422
    assert "is disabled" in answer.json()["message"]


@pytest.mark.parametrize("features", [["drivers@v1:trips"], ["doubled:doubled", "drivers@v1:trips"]], ids=str)
def test_a_version_is_refused_at_once_where_versions_are_not_enabled(served: Served, features: list[str]) -> None:
    """By the server that may not start Feast's own app as well."""
    body = {"features": features, "entities": {"driver_id": [1]}}
    assert served.feast.post("/get-online-features", json=body).status_code == 500
    for ours in (served.of_repo, served.named):
        answer = ours.post("/get-online-features", json=body)
        assert answer.status_code == 422
        assert "versions are not served here; write drivers:trips for the newest" in answer.json()["message"]


def test_of_a_key_under_two_names_the_one_that_the_service_gives_it_counts(served: Served) -> None:
    """Feast takes the last that a request names."""
    body = {"feature_service": "of_travels", "full_feature_names": True, "entities": {
        "origin_id": [1], "destination_id": [2], "driver_id": [3]
    }}  # fmt: skip
    columns = by_name(served.named.post("/get-online-features", json=body).json())
    assert (columns["origin__trips"][0], columns["destination__rate"][0]) == ([5], [-1.25])
    feast = by_name(served.feast.post("/get-online-features", json=body).json())
    assert feast["origin__trips"][0] == feast["destination__trips"][0] == [7]


def test_the_latest_version_is_the_view_itself(served: Served) -> None:
    body = {"features": ["drivers@latest:trips"], "entities": {"driver_id": [1, 99]}}
    assert_is_feasts(
        served.of_repo.post("/get-online-features", json=body),
        served.feast.post("/get-online-features", json=body),
        body,
    )


def test_nothing_is_changed_in_either_store(served: Served) -> None:
    """The last test of the module: whatever the others asked for, by Feast's own app as well."""
    assert everything(served.world) == served.before
