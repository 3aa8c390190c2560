"""What users of the reference deployment do every day."""

import json
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.protos.feast.serving import ServingService_pb2, ServingService_pb2_grpc
from feast.protos.feast.types import Value_pb2

from e2e.deployment import NAMESPACE, VIEWS
from e2e.feast_plan import changes

_SHOW = """
import json, pyarrow.parquet as pq
print(json.dumps(pq.read_table("/tmp/training.parquet", columns=["went_up", "current_price", "ma_7d"]).to_pylist()))
"""
WTI = {"commodity_code": "crude_oil_wti"}
PRICE = "commodity_price_features:current_price"


def test_kubectl_shows_every_view(deployment):
    shown = deployment.kubectl("get", "fv")
    for name in VIEWS:
        assert name in shown


def test_rest_answers_what_is_in_the_lake(deployment):
    assert deployment.value(PRICE, **WTI) == deployment.newest(
        "commodity_prices.parquet", "commodity_code", "crude_oil_wti", "current_price"
    )
    assert deployment.value("economic_features:gdp_growth", country="US") == deployment.newest(
        "economic_indicators.parquet", "country", "US", "gdp_growth"
    )


def test_health_and_metrics(deployment):
    with deployment.whole.forward(NAMESPACE, "svc/feast-server", 8080) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == httpx.codes.OK
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    for name in ("feast_online_request_latency", "feast_feature_request_count", "feast_feature_not_found_count"):
        assert name in metrics


def test_grpc_answers_the_same(deployment):
    request = ServingService_pb2.GetOnlineFeaturesRequest(
        features=ServingService_pb2.FeatureList(val=[PRICE]),
        entities={"commodity_code": Value_pb2.RepeatedValue(val=[Value_pb2.Value(string_val="crude_oil_wti")])},
    )
    with (
        deployment.whole.forward(NAMESPACE, "svc/feast-server", 6566) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        answer = ServingService_pb2_grpc.ServingServiceStub(channel).GetOnlineFeatures(request, timeout=30)
    at = list(answer.metadata.feature_names.val).index("current_price")
    assert answer.results[at].values[0].double_val == deployment.value(PRICE, **WTI)


@pytest.mark.parametrize(
    ("what", "selector"),
    [
        ("pods", "app=feast-server"),
        ("jobs", "app=feast,component=materialization"),
        ("pods", "app=feast,component=materialization-job"),
    ],
)
def test_labels_find_what_they_found(deployment, what, selector):
    assert deployment.names(what, f"--selector={selector}")


def test_the_runs_pods_say_what_they_did(deployment):
    said = deployment.kubectl("logs", "--selector=app=feast,component=materialization-job", "--tail=-1")
    for name in VIEWS:
        assert name.replace("-", "_") in said


def test_the_doctor_looks_from_inside_a_pod(deployment):
    """In place of psql, redis-cli and ping in the server's pod."""
    command = ("featureplane", "doctor", "/etc/featureplane/project.yaml")
    assert "Redis" in deployment.kubectl("exec", "deploy/feast-server", "--", *command)


def test_feasts_own_command_lists_the_views(deployment):
    listed = deployment.kubectl("exec", "deploy/feast-server", "--", "feast", "feature-views", "list")
    for name in VIEWS:
        assert name.replace("-", "_") in listed


def test_feasts_plan_finds_nothing_to_change(deployment):
    planned = deployment.kubectl("exec", "deploy/feast-server", "--", "feast", "plan")
    assert changes(planned) == []


def test_a_pod_makes_a_training_set_of_a_file_in_the_lake(deployment):
    """As of each row's moment, in the file's order; an hour makes another value."""
    now = datetime.now(UTC)
    rows = [
        {"commodity_code": commodity, "event_timestamp": now - timedelta(hours=hours), "went_up": hours}
        for commodity in ("natural_gas", "crude_oil_wti")
        for hours in (0, 30, 60)
    ]
    pq.write_table(pa.Table.from_pylist(rows), deployment.lake / "labels.parquet")
    in_pod = ("exec", "deploy/feast-offline", "--")
    paths = ("/etc/featureplane/project.yaml", "--entities=/data/labels.parquet", "--out=/tmp/training.parquet")
    deployment.kubectl(*in_pod, "featureplane", "training-set", "price_forecast_v1", *paths)
    made = json.loads(deployment.kubectl(*in_pod, "python3", "-c", _SHOW).splitlines()[-1])
    assert made == [{"went_up": row["went_up"], **known(deployment, row)} for row in rows]


def known(deployment, row):
    entity = ("commodity_prices.parquet", "commodity_code", row["commodity_code"])
    return {name: deployment.newest(*entity, name, row["event_timestamp"]) for name in ("current_price", "ma_7d")}
