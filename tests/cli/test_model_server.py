"""examples/neighbours/fastapi on a feature server of examples/commodity, and what it makes of its faults."""

import sys
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from cli.commands import ROOT, Place
from cli.examples import named_stores, put_online, serving
from cli.newest import newest_rows, price_in_24h
from patience import until
from tcp_proxy import TcpProxy

EXAMPLE = "commodity"
FOLDER = ROOT / "examples" / "neighbours" / "fastapi"
KEY = "commodity_code"


@pytest.fixture(scope="module")
def redis(example: Place) -> Iterator[TcpProxy]:
    """The way from every command to Redis."""
    with named_stores(example) as stores, TcpProxy(stores.redis.port) as proxy:
        example.variables["FEATUREPLANE_REDIS_PORT"] = str(proxy.port)
        yield proxy


@pytest.fixture(scope="module")
def feast_server(example: Place, redis: TcpProxy) -> Iterator[str]:
    put_online(example)
    with serving(example) as url:
        yield url


@pytest.fixture(scope="module")
def model_server() -> Iterator[Any]:
    """The example's module, found as uvicorn finds it in its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import model_server

        yield model_server
        for name in ("model_server", "features"):
            sys.modules.pop(name)


@pytest.fixture
def ask(model_server: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Clients of a model server that asks for its features at this address."""

    @contextmanager
    def asking(url: str, **settings: str) -> Iterator[TestClient]:
        for name, value in {"FEAST_SERVER_URL": url, "NO_PROXY": "*", **settings}.items():
            monkeypatch.setenv(name, value)
        with TestClient(model_server.app) as client:
            yield client

    return asking


def predict(client: httpx.Client, *commodities: str) -> httpx.Response:
    return client.post("/predict", json={"commodities": commodities})


def counted(client: httpx.Client, sample: str) -> float:
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[:1] != "#")
    return float(lines.get(sample, 0))


def test_predictions_are_made_of_the_newest_rows(ask, feast_server, example):
    newest = newest_rows(example.folder / "data" / "commodity_prices.parquet", KEY, timedelta(days=2))
    with ask(feast_server) as client:
        answer = predict(client, "gold", "crude_oil_wti")
    assert answer.status_code == 200, answer.text
    assert [each["outcome"] for each in answer.json()] == ["predicted", "predicted"]
    for each in answer.json():
        assert each["price_in_24h"] == pytest.approx(price_in_24h(newest[each["commodity"]]))


def test_an_entity_without_features_says_so_and_the_others_are_predicted(ask, feast_server):
    with ask(feast_server) as client:
        answer = predict(client, "cheese", "gold")
    cheese, gold = answer.json()
    assert cheese == {"commodity": "cheese", "outcome": "not_found", "price_in_24h": None}
    assert gold["outcome"] == "predicted"


@pytest.mark.parametrize(
    ("status", "value", "outcome"),
    [("PRESENT", None, "incomplete"), ("OUTSIDE_MAX_AGE", 1.0, "outside_max_age"), ("PRESENT", 1.0, "predicted")],
)
def test_nothing_is_guessed_from_features_that_are_missing_or_old(model_server, status, value, outcome):
    values = {"current_price": 1.0, "ma_7d": 1.0, "price_change_24h": 0.0, "rsi_14d": value}
    found = model_server.forecast("gold", model_server.Row(status, values))
    assert (found.outcome, found.price_in_24h) == (outcome, 1.0 if outcome == "predicted" else None)


def test_it_counts_and_times_what_it_does(ask, feast_server):
    samples = [
        'predictions_total{outcome="predicted"}', 'predictions_total{outcome="not_found"}',
        "feature_fetch_latency_seconds_count", "prediction_latency_seconds_count",
    ]  # fmt: skip
    with ask(feast_server) as client:
        before = [counted(client, sample) for sample in samples]
        predict(client, "gold", "corn", "cheese")
        after = [counted(client, sample) for sample in samples]
        spent = [counted(client, f"{name}_latency_seconds_sum") for name in ("feature_fetch", "prediction")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1, 1]
    assert 0 < spent[0] < spent[1]


def test_a_503_is_passed_on_with_its_retry_after_and_then_it_goes_on(ask, feast_server, redis):
    refused = 'predictions_total{outcome="unavailable"}'
    # Longer than what feast-server gives Redis, also on a busy machine.
    with ask(feast_server, FEATURE_TIMEOUT_SECONDS="30") as client:
        before = counted(client, refused)
        redis.forwards.clear()
        answer = predict(client, "gold", "corn")
        redis.forwards.set()
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1"), answer.text
        assert answer.json() == {"detail": "feast-server says 503"}
        assert counted(client, refused) - before == 2
        until(lambda: predict(client, "gold").status_code == 200)


def test_a_feature_server_that_says_nothing_is_not_waited_for(ask, feast_server):
    port = urllib.parse.urlsplit(feast_server).port
    assert port
    with TcpProxy(port) as proxy, ask(f"http://127.0.0.1:{proxy.port}", FEATURE_TIMEOUT_SECONDS="0.2") as client:
        proxy.forwards.clear()
        answer = predict(client, "gold")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
        assert answer.json() == {"detail": "feast-server did not answer (ReadTimeout)"}
        assert client.get("/health").status_code == 200


def test_a_request_that_somebody_has_to_mend_is_no_reason_to_ask_again(ask, feast_server):
    with ask(feast_server, FEATURE_SERVICE="no_such_service") as client:
        answer = predict(client, "gold")
    assert answer.status_code == 502
    assert "Retry-After" not in answer.headers
    assert "no_such_service" in answer.json()["detail"]
