"""examples/neighbours/ray-serve: a deployment in a real Ray, with the feature_store.yaml of feast-client."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml

from cli.commands import ROOT, Place
from cli.examples import project_of, serving
from cli.newest import newest_rows, price_in_24h
from data.environments import python_of
from featureplane.local.redis_server import free_ports
from featureplane.manifests.client import client_feature_store
from neighbours.servers import PATIENCE, running
from patience import until

pytestmark = pytest.mark.timeout(2400)  # the first makes the environment
FOLDER = ROOT / "examples" / "neighbours" / "ray-serve"
# Ray gives its own agent 15 s to start, and ends itself where a busy machine takes longer.
_TRIES = 8


@pytest.fixture(scope="module")
def feast_server(commodity: Place) -> Iterator[tuple[str, ExitStack]]:
    """Its address, and what ends it."""
    with ExitStack() as stack:
        yield stack.enter_context(serving(commodity)), stack


@pytest.fixture(scope="module")
def repo(
    commodity: Place, feast_server: tuple[str, ExitStack], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder with what is mounted in a cluster, but for the addresses."""
    folder = tmp_path_factory.mktemp("ray-serve")
    config = yaml.safe_load(client_feature_store(project_of("commodity")))
    with commodity.running("registry-server", "files", "--port", "0") as registry:
        config["registry"]["path"] = registry.said(" at ").split()[-1]
        config["online_store"]["path"], _ = feast_server
        (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
        yield folder


@pytest.fixture(scope="module")
def deployment(repo: Path) -> Iterator[httpx.Client]:
    port = next(free_ports())
    url = f"http://127.0.0.1:{port}"
    python = python_of("ray-serve", FOLDER / "requirements.txt")
    command = [python, Path(__file__).with_name("ray_program.py"), str(port)]
    env = {
        "PYTHONPATH": str(FOLDER), "FEAST_REPO": str(repo), "RAY_USAGE_STATS_ENABLED": "0", "FEAST_USAGE": "False",
        "HOME": str(repo),  # where Ray keeps the token that its processes know each other by
    }  # fmt: skip
    with ExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            try:
                stack.enter_context(running(command, repo, f"{url}/?commodity=gold", env, ending=PATIENCE))
                break
            except RuntimeError:
                if not tries_left:
                    raise
        yield stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=300))


def test_forecasts_are_made_of_the_newest_rows(deployment: httpx.Client, commodity: Place) -> None:
    newest = newest_rows(commodity.folder / "data" / "commodity_prices.parquet", "commodity_code", timedelta(days=2))
    answer = deployment.get("/?commodity=gold&commodity=cheese&commodity=corn")
    assert answer.status_code == 200, answer.text
    forecasts = answer.json()
    assert list(forecasts) == ["gold", "cheese", "corn"]
    assert forecasts["cheese"] is None
    for name in ("gold", "corn"):
        assert forecasts[name] == pytest.approx(price_in_24h(newest[name]))


def test_a_request_without_commodities_is_told_what_to_write(deployment: httpx.Client) -> None:
    answer = deployment.get("/")
    assert (answer.status_code, answer.json()) == (422, {"detail": "name commodities: ?commodity=gold&commodity=corn"})


def test_a_feature_server_that_is_away_is_a_503(deployment: httpx.Client, feast_server: tuple[str, ExitStack]) -> None:
    _, server = feast_server
    server.close()

    def is_away() -> httpx.Response:
        """Its workers end a moment after the command."""
        answer = deployment.get("/?commodity=gold")
        assert answer.status_code == 503, answer.text
        return answer

    answer = until(is_away, PATIENCE)
    assert answer.json() == {"detail": "feast-server does not answer"}
    assert answer.headers["Retry-After"] == "1"
