"""What a worker counts, as the metrics have it after a flush."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from featureplane.serving import metrics
from featureplane.serving.catalogue.served import Catalogue, ServedView
from featureplane.serving.counting import GRPC_ONLINE_FEATURES, ONLINE_FEATURES
from featureplane.serving.meter import Meter, State
from featureplane.serving.reading.answer import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, Columns, Entities
from featureplane.serving.reading.plan import Plan, plan_features
from featureplane.serving.reading.reader import Answer

CATALOGUE = Catalogue(
    "shop",
    {name: ServedView(name, (("sku", "String"),), ("price", "volume")) for name in ("prices", "stocks")},
    entities={"product": "sku"},
)
UP = State(
    is_redis_up=True,
    is_store_up=True,
    is_registry_up=True,
    registry_checked=5.0,
    registry_changes=0,
    in_progress=0,
    views=2,
)


@pytest.fixture
def grown() -> Iterator:
    """How much a sample has grown since the test began."""
    before = {(each.name, tuple(sorted(each.labels.items()))): each.value
              for family in metrics.OURS.collect() for each in family.samples}  # fmt: skip

    def grown(name: str, **labels: str) -> float:
        return (metrics.OURS.get_sample_value(name, labels) or 0.0) - before.get(
            (name, tuple(sorted(labels.items()))), 0.0
        )

    return grown


def an_answer(plan: Plan, *statuses: list[int] | tuple[int, ...], read_seconds: float = 0.0004) -> Answer:
    """With a list of statuses for each feature, in order; a tuple is for one whose values are all there."""
    rows = len(statuses[0])
    its, columns = iter(statuses), []
    for read, index in plan.order:
        part = plan.reads[read].parts[index]
        found = [next(its) for _ in part.names]
        complete = all(isinstance(each, tuple) for each in found)
        columns.append(Columns(part, [[b""] * rows] * len(found), found, [None] * rows, complete=complete))
    return Answer(plan, Entities({"sku": ["a"] * rows}, rows), columns, read_seconds)


def test_an_answer_counts_by_view_and_status(grown):
    meter = Meter(lambda: UP)
    plan = plan_features(CATALOGUE, ["prices", "stocks:volume"], full_names=True)
    present = (PRESENT, PRESENT, PRESENT)
    mixed = [PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE]
    for _ in range(2):
        meter.answered(ONLINE_FEATURES, an_answer(plan, present, mixed, [NOT_FOUND] * 3), 0.0007)
    assert grown("feast_feature_request_count_total", feature_view="prices") == 0
    meter.flush()
    assert grown("feast_feature_request_count_total", feature_view="prices") == 2
    assert grown("feast_feature_not_found_count_total", feature_view="prices") == 2
    assert grown("feast_feature_not_found_count_total", feature_view="stocks") == 6
    by_status = {
        status: grown("feast_online_features_status_total", feature_view="prices", status=status)
        for status in ("present", "not_found", "outside_max_age")
    }
    assert by_status == {"present": 8, "not_found": 2, "outside_max_age": 2}
    assert grown("feast_online_features_request_total") == 2
    assert grown("feast_online_features_entity_count_sum") == 6
    meter.flush()
    assert grown("feast_feature_request_count_total", feature_view="prices") == 2


def test_a_millisecond_is_told_from_five(grown):
    meter = Meter(lambda: UP)
    plan = plan_features(CATALOGUE, ["prices:price"], full_names=False)
    for seconds in (0.0009, 0.001, 0.0045, 20.0):
        meter.answered(GRPC_ONLINE_FEATURES, an_answer(plan, (PRESENT,), read_seconds=seconds / 2), seconds)
    meter.flush()

    def up_to(bound: str) -> float:
        return grown("feast_online_request_latency_bucket", protocol="grpc", le=bound)

    assert [up_to(bound) for bound in ("0.0005", "0.001", "0.004", "0.005", "10.0", "+Inf")] == [0, 2, 2, 3, 3, 4]
    assert grown("feast_online_request_latency_sum", protocol="grpc") == pytest.approx(20.0064)
    assert grown("feast_online_request_latency_count", protocol="grpc") == 4
    read = "feast_feature_server_online_store_read_duration_seconds"
    assert [grown(f"{read}_bucket", le=bound) for bound in ("0.0005", "+Inf")] == [2, 4]
    labels = {"endpoint": "GetOnlineFeatures", "feature_count": "1-10", "feature_view_count": "1"}
    assert grown("feast_feature_server_request_latency_seconds_count", **labels) == 4


def test_refusals_and_what_feast_answers_count_by_outcome(grown):
    meter = Meter(lambda: UP)
    meter.refused(ONLINE_FEATURES)
    meter.refused(ONLINE_FEATURES, away=True)
    meter.passed_on("/push", 200, 0.2)
    meter.passed_on("/push", 422, 0.2)
    request = "feast_feature_server_request_total"
    assert grown(request, endpoint="/get-online-features", status="error") == 2
    assert grown("featureplane_server_redis_unavailable_total") == 1
    assert [grown(request, endpoint="/push", status=status) for status in ("success", "error")] == [1, 1]


def test_the_state_is_told_and_changes_of_the_registry_counted_once(grown):
    states = [
        UP,
        replace(
            UP, is_redis_up=False, is_store_up=False, is_registry_up=False, registry_changes=3, in_progress=2, views=1
        ),
    ]
    meter = Meter(lambda: states[-1])
    meter.flush()
    meter.flush()
    assert grown("featureplane_server_registry_refreshes_total") == 3
    now = {
        name: metrics.OURS.get_sample_value(f"featureplane_server_{name}")
        for name in (
            "redis_up",
            "online_store_up",
            "registry_up",
            "registry_checked_timestamp_seconds",
            "requests_in_progress",
            "feature_views",
        )
    }
    assert list(now.values()) == [0, 0, 0, 5, 2, 1]


def test_it_flushes_by_itself(grown, monkeypatch):
    monkeypatch.setattr("featureplane.serving.meter.FLUSH_SECONDS", 0.01)
    meter = Meter(lambda: UP)

    async def run() -> None:
        flushing = asyncio.create_task(meter.run())
        await asyncio.sleep(0)
        plan = plan_features(CATALOGUE, ["prices"], full_names=False)
        meter.answered(ONLINE_FEATURES, an_answer(plan, (PRESENT,), (PRESENT,)), 0.001)
        await asyncio.sleep(1)
        flushing.cancel()

    asyncio.run(run())
    assert grown("feast_feature_request_count_total", feature_view="prices") == 1


@pytest.mark.parametrize(
    ("count", "label"),
    [(0, "0"), (1, "1-10"), (10, "1-10"), (11, "11-50"), (50, "11-50"), (200, "51-200"), (201, "201+")],
)
def test_feature_counts_are_binned_as_feast_does(count, label):
    assert metrics.features_label(count) == label


def test_a_written_event_time_only_rises():
    metrics.note_written("pushed_view", 10.0)
    metrics.note_written("pushed_view", 7.0)
    name = "featureplane_server_written_event_timestamp_seconds"
    assert metrics.OURS.get_sample_value(name, {"feature_view": "pushed_view"}) == 10.0


def test_an_event_time_of_the_future_counts_as_of_its_arrival():
    """Else freshness would be 0 until then, whether rows come or not."""
    before = time.time()
    metrics.note_written("forecasts", before + 3600)
    name = "featureplane_server_written_event_timestamp_seconds"
    assert before <= metrics.OURS.get_sample_value(name, {"feature_view": "forecasts"}) <= time.time()
