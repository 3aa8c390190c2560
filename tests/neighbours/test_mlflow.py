"""examples/neighbours/mlflow: a training set of the real registry, a training, and what MLflow has of it."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cli.commands import ROOT, Place, clean_environment
from data.environments import python_of
from featureplane.registry import catalogue
from featureplane.registry.database import begin, engine_for
from featureplane.registry.state import Registered
from featureplane.settings import Stores

pytestmark = pytest.mark.timeout(2400)  # the first makes the environment
FOLDER = ROOT / "examples" / "neighbours" / "mlflow"
PATIENCE = 900
FEATURES = ["current_price", "price_change_1h", "price_change_24h", "volatility_7d", "ma_7d", "rsi_14d"]
MADE_OF = [
    ("feature_service", "price_forecast_v1"),
    ("feature_view", "commodity_price_features"),
    ("data_source", "commodity_price_features_source"),
    ("entity", "commodity"),
]


def run(python: Path | str, *arguments: str | Path, folder: Path, **variables: str) -> str:
    ran = subprocess.run(
        [python, *arguments], cwd=folder, env={**clean_environment(), **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def training_set(commodity: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    assert commodity("render", "files", "--out", folder / "repo").status == 0
    prices = commodity.folder / "data" / "commodity_prices.parquet"
    run(sys.executable, FOLDER / "labels.py", "--prices", prices, "--out", "labels.parquet", folder=folder)
    out = folder / "training.parquet"
    ran = commodity("training-set", "price_forecast_v1", "files", "--entities", folder / "labels.parquet", "--out", out)
    assert ran.status == 0, ran.err
    return out


@pytest.fixture(scope="module")
def logged(training_set: Path) -> dict[str, Any]:
    python, folder = python_of("mlflow", FOLDER / "requirements.txt"), training_set.parent
    tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    definitions = folder / "repo" / "definitions.json"
    run(python, FOLDER / "train.py", training_set, "--definitions", definitions, folder=folder, **tracking)
    said = run(python, Path(__file__).with_name("mlflow_reader.py"), training_set, folder=folder, **tracking)
    return dict(json.loads(said.splitlines()[-1]))


def registered(stores: Stores) -> Registered:
    engine = engine_for(stores.postgres)
    try:
        with begin(engine, stores.postgres) as connection:
            return catalogue.read(connection, "254carbon")
    finally:
        engine.dispose()


def test_a_row_has_what_was_known_then_and_the_price_a_day_later(training_set: Path, commodity: Place) -> None:
    prices = pd.read_parquet(commodity.folder / "data" / "commodity_prices.parquet")
    rows = pd.read_parquet(training_set)
    assert len(rows) == 12 * 7 * 24
    at = prices.set_index(["commodity_code", "event_timestamp"])
    for row in rows.sample(50, random_state=1).to_dict("records"):
        then = at.loc[(row["commodity_code"], row["event_timestamp"])]
        assert [row[name] for name in FEATURES] == [then[name] for name in FEATURES]
        day_later = row["event_timestamp"] + timedelta(days=1)
        assert row["price_in_24h"] == at.loc[(row["commodity_code"], day_later)]["current_price"]


def test_the_digests_of_what_it_was_trained_on_are_the_registrys(logged: dict[str, Any], stores: Stores) -> None:
    known = registered(stores).definitions
    digests = {f"features.{kind}.{name}": known[kind, name].digest for kind, name in MADE_OF}
    assert logged["tags"] == {"features.project": "254carbon", "features.service": "price_forecast_v1", **digests}


def test_the_model_says_so_too_wherever_it_is_loaded(logged: dict[str, Any]) -> None:
    assert logged["metadata"] == logged["tags"]
    assert logged["columns"] == FEATURES


def test_what_was_asked_and_the_definitions_themselves_are_logged(logged: dict[str, Any], training_set: Path) -> None:
    assert logged["record"] == json.loads(Path(f"{training_set}.json").read_text())
    assert logged["record"]["features"] == {name: f"commodity_price_features:{name}" for name in FEATURES}
    assert logged["definitions"] == json.loads((training_set.parent / "repo" / "definitions.json").read_text())
    assert logged["dataset"] == "price_forecast_v1"


def test_the_model_has_learnt_what_a_price_is(logged: dict[str, Any]) -> None:
    assert logged["metrics"]["mape"] < 0.3
    (forecast,), (price,) = logged["forecast"], logged["price"]
    assert forecast == pytest.approx(price, rel=0.5)
