"""examples/neighbours/seldon: the transformer in Seldon's own microservice, with the parameters of the manifest."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cli.commands import ROOT, Place
from cli.newest import newest_rows
from data.environments import python_of
from featureplane.local.redis_server import free_ports
from neighbours.servers import running

pytestmark = pytest.mark.timeout(2400)  # the first makes the environment
FOLDER = ROOT / "examples" / "neighbours" / "seldon"
KEY = "commodity_code"
FEATURES = ["current_price", "price_change_1h", "price_change_24h", "volatility_7d", "ma_7d", "rsi_14d"]


def predictor() -> dict[str, Any]:
    (found,) = yaml.safe_load((FOLDER / "seldon-deployment.yaml").read_text())["spec"]["predictors"]
    return dict(found)


@contextmanager
def microservice(folder: Path, feast_server: str) -> Iterator[httpx.Client]:
    """As in its image: beside the file of its class, with the parameters of the graph."""
    shutil.copy(FOLDER / "FeatureTransformer.py", folder)
    graph, (component,) = predictor()["graph"], predictor()["componentSpecs"]
    parameters = [{**each, "value": feast_server} if each["name"] == "url" else each for each in graph["parameters"]]
    (container,) = component["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    ports = free_ports()
    http, grpc, metrics = (str(next(ports)) for _ in range(3))
    command = [
        python_of("seldon", FOLDER / "requirements.txt").with_name("seldon-core-microservice"),
        variables["MODEL_NAME"], "--service-type", variables["SERVICE_TYPE"], "--parameters", json.dumps(parameters),
        "--http-port", http, "--grpc-port", grpc, "--metrics-port", metrics,
    ]  # fmt: skip
    url = f"http://127.0.0.1:{http}"
    with (
        running(command, folder, f"{url}/health/status"),
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def transformer(feast_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with microservice(tmp_path_factory.mktemp("seldon"), feast_server) as client:
        yield client


def ask(transformer: httpx.Client, *commodities: str) -> httpx.Response:
    body = {"data": {"names": [KEY], "ndarray": [[each] for each in commodities]}}
    return transformer.post("/transform-input", json=body)


def why(answer: httpx.Response) -> tuple[str, str]:
    status = answer.json()["status"]
    return status["reason"], status["info"]


def test_entities_become_their_features_in_the_order_of_the_service(transformer, commodity: Place) -> None:
    newest = newest_rows(commodity.folder / "data" / "commodity_prices.parquet", KEY, timedelta(days=2))
    answer = ask(transformer, "gold", "corn")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {
        "names": FEATURES,
        "ndarray": [[newest[name][feature] for feature in FEATURES] for name in ("gold", "corn")],
    }


def test_an_entity_without_features_is_a_404_that_names_it(transformer) -> None:
    answer = ask(transformer, "gold", "cheese")
    assert answer.status_code == 404, answer.text
    said = "no features that a prediction can be made of for commodity_code cheese"
    assert why(answer) == ("FEATURES_MISSING", said)


def test_a_feature_server_that_is_away_is_a_503(tmp_path: Path) -> None:
    with microservice(tmp_path, f"http://127.0.0.1:{next(free_ports())}") as client:
        answer = ask(client, "gold")
    assert answer.status_code == 503, answer.text
    assert why(answer) == ("FEATURES_UNAVAILABLE", "feast-server did not answer (ConnectError)")


def test_every_node_of_the_graph_is_a_container_or_a_server_of_seldons() -> None:
    found = predictor()
    nodes = [found["graph"], *found["graph"]["children"]]
    containers = {item["name"] for part in found["componentSpecs"] for item in part["spec"]["containers"]}
    assert {node["name"] for node in nodes if "implementation" not in node} == containers
    assert [(node["type"], node.get("implementation")) for node in nodes] == [
        ("TRANSFORMER", None),
        ("MODEL", "MLFLOW_SERVER"),
    ]
