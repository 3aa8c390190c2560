"""The feature server as a user's child: its answers, and its end."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import psutil
import pytest
from test_materialize import NOON, task, write
from world import World

from factories import a_feature, a_feature_view, a_project, a_service
from featureplane.errors import FeatureplaneError
from featureplane.materialization.run import materializer
from featureplane.serving.app import Server, serving
from featureplane.serving.closed import RUNS, WRITES
from featureplane.serving.listening import Where
from featureplane.settings import child_environment
from patience import PATIENCE, until

# The parent that is killed: it serves what the environment says until it is.
PARENT = """
import json, sys
from pathlib import Path
from featureplane.model.feast_project import FeastProject
from featureplane.serving.app import serving
from featureplane.settings import Settings, Stores
settings = Settings.from_env()
project = FeastProject.model_validate(json.loads(sys.argv[1]))
with serving(project, Stores(settings.postgres, settings.redis), Path.cwd()) as server:
    server.wait_until_ready()
    print("ready", flush=True)
    sys.stdin.read()
"""


class Served(NamedTuple):
    world: World
    server: Server
    orphan: subprocess.Popen[str]


@pytest.fixture(scope="module")
def served(make_world: Callable[[], World]) -> Iterator[Served]:
    """Two servers on one project, as users start them; they take seconds, so they start together."""
    world = make_world()
    write(world.folder / "prices.parquet", {"gold": NOON, "silver": NOON})
    objects = [
        a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}}),
        a_feature_view(features=[a_feature(), a_feature("volume", "Int64"), a_feature("history", "Array(Float32)")]),
        a_service(),
    ]
    world.apply(*objects)
    project = world.declarations(*objects).project
    orphan = subprocess.Popen(
        [sys.executable, "-c", PARENT, json.dumps(objects[0])],
        env=child_environment(world.stores),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with serving(project, world.stores, world.folder) as server:
        with materializer(project, world.stores, world.folder) as engine:
            assert [run.result for run in engine.run([task(end=NOON)])] == ["Succeeded"]
        server.wait_until_ready()
        yield Served(world, server, orphan)
    orphan.kill()
    orphan.wait()


REQUESTS: dict[str, dict[str, Any]] = {
    "features": {"features": ["commodity_prices:price", "commodity_prices:volume", "commodity_prices:history"]},
    "service": {"feature_service": "price_model"},
    "full names": {"features": ["commodity_prices:price"], "full_feature_names": True},
}


def children() -> list[psutil.Process]:
    """Servers that this process started."""
    return [
        process
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and "worker_process" in "".join(process.cmdline())
    ]


def test_health(served: Served) -> None:
    assert httpx.get(f"{served.server.url}/health", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize("request_body", REQUESTS.values(), ids=REQUESTS.keys())
def test_the_answer_is_the_sdks(served: Served, request_body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in served.world.stores.environment().items():
        monkeypatch.setenv(name, value)
    keys = ["silver", "gold", "nobody"]
    answer = httpx.post(
        f"{served.server.url}/get-online-features",
        json={**request_body, "entities": {"commodity": keys}},
        timeout=PATIENCE,
    ).json()
    columns = [column["values"] for column in answer["results"]]
    served_values = dict(zip(answer["metadata"]["feature_names"], columns, strict=True))
    store = served.world.sdk(online=True)
    wanted = request_body.get("features") or store.get_feature_service(request_body["feature_service"])
    expected = store.get_online_features(
        wanted, [{"commodity": key} for key in keys], request_body.get("full_feature_names", False)
    )
    assert served_values == expected.to_dict()
    assert served_values["commodity"] == keys


def test_a_change_is_served_within_seconds(served: Served) -> None:
    served.world.apply(
        a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(served.world.folder)}}),
        a_feature_view(features=[a_feature(), a_feature("volume", "Int64"), a_feature("history", "Array(Float32)")]),
        a_service(),
        a_service("new-service"),
    )
    body = {"feature_service": "new_service", "entities": {"commodity": ["gold"]}}
    until(lambda: httpx.post(f"{served.server.url}/get-online-features", json=body, timeout=PATIENCE).is_success)


@pytest.mark.parametrize("path", sorted([*WRITES, *RUNS, "/push/"]))
def test_what_changes_something_is_closed(served: Served, path: str) -> None:
    answer = httpx.post(f"{served.server.url}{path}", json={}, timeout=PATIENCE)
    assert answer.status_code == 403
    assert "this server" in answer.json()["message"]
    # To open it would not help who gets.
    got = httpx.get(f"{served.server.url}{path}", timeout=PATIENCE)
    assert (got.status_code, got.headers["allow"]) == (405, "POST")


def test_a_project_opens_writes(served: Served) -> None:
    row = {"commodity": "lead", "price": 5.0, "event_timestamp": NOON.isoformat(), "volume": 1, "history": [1.0]}
    body = {"feature_view_name": "commodity_prices", "df": {name: [value] for name, value in row.items()}}
    project = served.world.declarations(a_project(server={"writes": {"enabled": True}})).project
    with serving(project, served.world.stores, served.world.folder) as server:
        server.wait_until_ready()
        assert httpx.post(f"{server.url}/write-to-online-store", json=body, timeout=30).status_code == 200
        assert httpx.post(f"{server.url}/materialize", json={}, timeout=PATIENCE).status_code == 403
        asked = {"features": ["commodity_prices:price"], "entities": {"commodity": ["lead"]}}
        answer = httpx.post(f"{server.url}/get-online-features", json=asked, timeout=30).json()
        assert answer["results"][1]["values"] == [5.0]


def test_a_port_that_is_taken_is_an_error_at_once(served: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(FeatureplaneError, match=f"cannot listen on 127.0.0.1:{port}"),
            serving(served.world.declarations().project, served.world.stores, served.world.folder, Where(port=port)),
        ):
            pass


def test_a_server_that_ends_early_is_an_error(served: Served) -> None:
    project = served.world.declarations().project
    before = set(children())
    with serving(project, served.world.stores, served.world.folder) as server:
        (process,) = set(children()) - before
        process.kill()
        with pytest.raises(FeatureplaneError, match="ended before it was ready"):
            server.wait_until_ready()


def test_the_server_ends_with_its_parent_however_that_ends(served: Served) -> None:
    assert served.orphan.stdout.readline() == "ready\n"
    family = psutil.Process(served.orphan.pid).children(recursive=True)
    assert family
    served.orphan.kill()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert alive == []


def test_what_is_registered_before_the_wait_is_served_from_the_first_answer_on(served: Served) -> None:
    """The server starts in the meantime; it must not have read the registry by then."""
    world, before = served.world, set(children())
    with serving(world.declarations().project, world.stores, world.folder) as server:
        (worker,) = set(children()) - before
        wait_until_idle(worker)
        world.apply(a_feature_view("registered-late"))
        server.wait_until_ready()
        request = {"features": ["registered_late:price"], "entities": {"commodity": ["gold"]}}
        assert httpx.post(f"{server.url}/get-online-features", json=request, timeout=PATIENCE).status_code == 200


def wait_until_idle(process: psutil.Process) -> None:
    before, spent = -1.0, process.cpu_times().user
    while spent != before:
        time.sleep(1)
        before, spent = spent, process.cpu_times().user


def test_stopping_leaves_nothing_behind(served: Served) -> None:
    before = set(children())
    with serving(served.world.declarations().project, served.world.stores, served.world.folder) as server:
        assert server.is_running
    assert set(children()) == before
    assert not server.is_running
