"""What authors of features do: new data, new features, new views; and what becomes of it."""

import time
from datetime import UTC, datetime

import pytest

from e2e.client import Client
from e2e.feast_plan import changes
from e2e.paths import EXAMPLE
from patience import until

WTI = {"commodity_code": "crude_oil_wti"}
PRICE = "commodity_price_features:current_price"
FORECAST = ("current_price", "price_change_1h", "price_change_24h", "volatility_7d", "ma_7d", "rsi_14d")  # of v1
SIGNALS = {
    "apiVersion": "featureplane.dev/v1alpha1",
    "kind": "FeatureView",
    "metadata": {"name": "desk-signals"},
    "spec": {
        "entities": [{"name": "commodity", "joinKey": "commodity_code"}],
        "features": [{"name": "rsi_14d", "type": "Float64"}],
        "source": {"file": {"path": "commodity_prices.parquet"}, "timestampField": "event_timestamp"},
    },
}


@pytest.mark.parametrize(
    ("schedule", "feature", "file", "entity"),
    [
        ("hourly", PRICE, "commodity_prices.parquet", ("commodity_code", "crude_oil_wti")),
        ("daily", "economic_features:gdp_growth", "economic_indicators.parquet", ("country", "US")),
    ],
)
def test_a_job_of_each_schedule_brings_what_is_new(deployment, schedule, feature, file, entity):
    key, value = entity
    before = deployment.value(feature, **{key: value})
    deployment.deliver(seed={"hourly": 2, "daily": 3}[schedule])
    new = deployment.newest(file, key, value, feature.rpartition(":")[2])
    assert new != before, "another seed, another value"
    deployment.kubectl("create", "job", f"by-hand-{schedule}", f"--from=cronjob/feast-materialize-{schedule}")
    deployment.kubectl("wait", "--for=condition=Complete", f"job/by-hand-{schedule}", "--timeout=180s")
    assert deployment.value(feature, **{key: value}) == new


@pytest.mark.parametrize("where", ["feast-offline", "feast-server"])
def test_feasts_own_command_materializes(deployment, where):
    """In the server's pods, too, for the project lets them read sources."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = deployment.kubectl("exec", f"deploy/{where}", "--", "feast", "materialize-incremental", now)
    assert "commodity_price_features" in said


@pytest.fixture(scope="module")
def client(deployment):
    made = Client(deployment)
    yield made
    made.delete()


def test_feasts_sdk_reads_online_and_historical_features(deployment, client):
    """As Ray Serve, Seldon and notebooks do, with the ConfigMap that the operator keeps for them."""
    found = client.run(
        """
        import json
        import pandas as pd
        from feast import FeatureStore
        store = FeatureStore("/feast/feature_repo")
        names = ["commodity_price_features:current_price"]
        online = store.get_online_features(names, [{"commodity_code": "crude_oil_wti"}]).to_dict()
        rows = pd.DataFrame({"commodity_code": ["crude_oil_wti"], "event_timestamp": [pd.Timestamp.now(tz="UTC")]})
        training = store.get_historical_features(rows, names).to_df()
        of_model = store.get_historical_features(rows, store.get_feature_service("price_forecast_v1")).to_df()
        print(json.dumps({
            "online": online["current_price"],
            "historical": list(training["current_price"]),
            "columns": list(of_model.columns),
            "of service": list(of_model["current_price"]),
        }))
        """
    )
    newest = deployment.newest("commodity_prices.parquet", "commodity_code", "crude_oil_wti", "current_price")
    assert found["historical"] == found["of service"] == [newest]
    assert set(found["columns"]) == {"commodity_code", "event_timestamp", *FORECAST}
    assert found["online"] == [deployment.value(PRICE, **WTI)]


def test_a_new_view_is_served_in_half_a_minute(deployment, times):
    started = time.monotonic()
    deployment.apply(SIGNALS)
    until(lambda: deployment.value("desk_signals:rsi_14d", **WTI) is not None)
    times["new view to first value"] = time.monotonic() - started
    newest = deployment.newest("commodity_prices.parquet", "commodity_code", "crude_oil_wti", "rsi_14d")
    assert deployment.value("desk_signals:rsi_14d", **WTI) == newest


def test_a_feature_that_is_added_is_served(deployment):
    added = '[{"op": "add", "path": "/spec/features/-", "value": {"name": "ma_7d", "type": "Float64"}}]'
    deployment.kubectl("patch", "fv", "desk-signals", "--type=json", f"--patch={added}")
    newest = deployment.newest("commodity_prices.parquet", "commodity_code", "crude_oil_wti", "ma_7d")
    until(lambda: deployment.value("desk_signals:ma_7d", **WTI) == newest)


def test_feasts_plan_finds_nothing_to_change(deployment):
    planned = deployment.kubectl("exec", "deploy/feast-server", "--", "feast", "plan")
    assert changes(planned) == []


def test_a_view_that_is_deleted_is_served_no_more(deployment):
    deployment.kubectl("delete", "fv", "desk-signals", "--timeout=120s")
    until(lambda: deployment.ask(["desk_signals:rsi_14d"], {"commodity_code": ["crude_oil_wti"]}).status_code == 404)
    listed = deployment.kubectl("exec", "deploy/feast-server", "--", "feast", "feature-views", "list")
    assert "desk_signals" not in listed


def test_what_was_applied_again_changes_nothing(deployment):
    before = {item["metadata"]["name"]: item["metadata"]["generation"] for item in deployment.get("fv")["items"]}
    deployment.kubectl("apply", f"--filename={EXAMPLE / 'commodity-price-features.yaml'}")
    after = {item["metadata"]["name"]: item["metadata"]["generation"] for item in deployment.get("fv")["items"]}
    assert after == before
