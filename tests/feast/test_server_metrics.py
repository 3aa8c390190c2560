"""`/metrics` and `/status` of a server with two workers, on real stores."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_materialize import NOON, task, write
from world import World

from factories import a_feature, a_feature_view, a_project, a_service
from featureplane.materialization.run import materializer
from featureplane.serving import workers
from featureplane.serving.app import Server, serving
from patience import PATIENCE, until


@pytest.fixture(scope="module")
def served(make_world: Callable[[], World]) -> Iterator[Server]:
    world = make_world()
    write(world.folder / "prices.parquet", {"gold": NOON, "silver": NOON})
    objects = [
        a_project(
            offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}}, server={"workers": 2}
        ),
        a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]),
        a_service(),
    ]  # fmt: skip
    world.apply(*objects)
    project = world.declarations(*objects).project
    with materializer(project, world.stores, world.folder) as engine:
        assert [run.result for run in engine.run([task(end=NOON)])] == ["Succeeded"]
    with serving(project, world.stores, world.folder) as server:
        server.wait_until_ready()
        yield server


def samples(server: Server) -> dict[str, float]:
    """`name{label=value,...}` to value, of everything that is told."""
    answer = httpx.get(f"{server.url}/metrics", timeout=PATIENCE)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def told(server: Server, true: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Wait until the samples are so: another worker tells its counts each second."""

    def is_so() -> dict[str, float]:
        found = samples(server)
        assert true(found), found
        return found

    return dict(until(is_so))


def ask(server: Server, *keys: str, **more: object) -> httpx.Response:
    """On a connection of its own, so that either worker may answer."""
    body = {"features": ["commodity_prices"], "entities": {"commodity": keys}, **more}
    return httpx.post(f"{server.url}/get-online-features", json=body, timeout=PATIENCE)


def test_both_workers_counts_are_added_up(served):
    before = samples(served)
    for _ in range(20):
        assert ask(served, "gold", "nobody").is_success
    assert ask(served, "gold", features=["nothing:price"]).status_code == 404
    name = "feast_feature_request_count{feature_view=commodity_prices}"
    found = told(served, lambda now: now.get(name, 0) - before.get(name, 0) >= 20)
    grown = {each: value - before.get(each, 0.0) for each, value in found.items()}
    assert grown[name] == 20
    assert grown["feast_feature_not_found_count{feature_view=commodity_prices}"] == 40
    assert grown["feast_online_features_status_total{feature_view=commodity_prices,status=present}"] == 40
    assert grown["feast_online_request_latency_count{protocol=http}"] == 20
    assert grown["feast_online_features_entity_count_sum{}"] == 40
    assert grown["feast_feature_server_request_total{endpoint=/get-online-features,status=success}"] == 20
    assert grown["feast_feature_server_request_total{endpoint=/get-online-features,status=error}"] == 1


def test_the_state_of_the_server_is_told(served):
    found = told(served, lambda now: now.get("featureplane_server_workers{}") == 2)
    assert found["featureplane_server_redis_up{}"] == found["featureplane_server_online_store_up{}"] == 1
    assert found["featureplane_server_registry_up{}"] == 1
    assert found["featureplane_server_feature_views{}"] == 1
    assert time.time() - found["featureplane_server_registry_checked_timestamp_seconds{}"] < 30


def test_freshness_is_the_age_of_the_newest_row_at_the_moment_of_asking(served):
    name = "feast_feature_freshness_seconds{feature_view=commodity_prices,project=feast}"
    found = told(served, lambda now: name in now)[name]
    assert found == pytest.approx(time.time() - NOON.timestamp(), abs=60)
    time.sleep(0.1)
    assert told(served, lambda now: name in now)[name] > found


def test_the_status_says_what_can_be_asked_for(served):
    status = httpx.get(f"{served.url}/status", timeout=PATIENCE).json()
    assert (status["project"], status["workers"]) == ("feast", 2)
    assert status["registry"]["problem"] == status["online_store"]["problem"] == ""
    views = httpx.get(f"{served.url}/status/views", timeout=PATIENCE).json()
    keys = [{"name": "commodity", "type": "String", "entity": "commodity"}]
    (view,) = views["feature_views"]
    assert {
        name: view[name] for name in ("name", "join_keys", "features", "types", "newest_event_time", "newest_of")
    } == {
        "name": "commodity_prices",
        "join_keys": keys,
        "features": ["price", "volume"],
        "types": ["Float64", "Int64"],
        "newest_event_time": "2026-01-10T12:00:00Z",
        "newest_of": "run",
    }
    assert views["feature_services"] == [
        {
            "name": "price_model",
            "join_keys": keys,
            "features": ["commodity_prices:price", "commodity_prices:volume"],
            "owner": "",
            "tags": {},
            "deprecated": [],
        }
    ]


def test_a_worker_that_ends_counts_no_longer_and_what_it_counted_stays(served, monkeypatch):
    monkeypatch.setattr(workers, "_LEAST_SECONDS", 0.0)
    before = told(served, lambda now: now.get("featureplane_server_workers{}") == 2)
    found = [each for each in psutil.Process().children() if "worker_process" in "".join(each.cmdline())]
    port = re.search(r":(\d+)$", served.url).group(1)
    mine = [each for each in found if any(str(link.laddr.port) == port for link in each.net_connections())]
    os.kill(mine[0].pid, signal.SIGKILL)
    starts = "featureplane_server_worker_starts_total{}"
    redis_up = "featureplane_server_redis_up{}"  # 0 until the new one has its connection, too

    def has_another(now):
        return now[starts] > before[starts] and now["featureplane_server_workers{}"] == 2 and now[redis_up] == 1

    after = told(served, has_another)
    name = "feast_online_request_latency_count{protocol=http}"
    assert after.get(name, 0) >= before.get(name, 0)


def test_methods_that_the_page_does_not_know_are_not_answered_by_it(served):
    assert httpx.head(f"{served.url}/status").status_code == 200
    assert httpx.head(f"{served.url}/").content == b""
