"""What Prometheus is told of runs, under the names that Feast has for it."""

from datetime import timedelta

import pytest
from prometheus_client import generate_latest

from featureplane.controller import metrics
from featureplane.parity.kinds import Kind
from unit.controller.test_view_status import NOW, a_run, an_outcome

PROJECT = "data/feast"
VIEW = {"project": PROJECT, "feature_view": "commodity_prices"}


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    metrics.forget(PROJECT)


def told(name, **labels):
    return metrics.REGISTRY.get_sample_value(name, {**VIEW, **labels})


def series():
    """The lines about the project."""
    return [line for line in generate_latest(metrics.REGISTRY).decode().splitlines() if PROJECT in line]


def test_a_run_is_told_under_feast_s_names():
    metrics.count_runs(PROJECT, [a_run(), a_run(started_at=NOW - timedelta(seconds=3)), a_run(result="Failed")])
    assert told("feast_materialization_duration_seconds_count") == 3
    assert told("feast_materialization_duration_seconds_sum") == 123
    assert told("feast_materialization_duration_seconds_bucket", le="5.0") == 1
    assert told("feast_materialization_result_total", status="success") == 2
    assert told("feast_materialization_result_total", status="failure") == 1


def test_the_buckets_are_feast_s():
    metrics.count_runs(PROJECT, [a_run()])
    bounds = [line.split('le="')[1].split('"')[0] for line in series() if "_seconds_bucket" in line]
    assert bounds == ["1.0", "5.0", "10.0", "30.0", "60.0", "120.0", "300.0", "600.0", "1800.0", "3600.0", "+Inf"]


def test_rows_and_bytes_are_added_up():
    counts = {"rows_read": 9, "rows_skipped": 1, "rows_rejected": 2, "rows_late": 3, "bytes_written": 500}
    metrics.count_runs(PROJECT, [a_run(**counts), a_run(**counts)])
    found = {name: told(f"featureplane_materialization_{name}_total") for name in metrics.RUN_SUMS}
    assert found == {name: 2 * count for name, count in {**counts, "rows_written": 7}.items()}


def test_what_is_not_known_of_a_run_adds_nothing():
    metrics.count_runs(PROJECT, [a_run(rows_written=None)])
    assert told("featureplane_materialization_rows_written_total") == 0


def test_the_newest_run_s_duration_stands_beside_the_sums():
    metrics.show_newest_run(PROJECT, a_run())
    metrics.show_newest_run(PROJECT, a_run(started_at=NOW - timedelta(seconds=2.5)))
    assert told("feast_materialization_duration") == 2.5


def parity(name, **labels):
    return metrics.REGISTRY.get_sample_value(
        f"featureplane_parity_{name}", {"project": PROJECT, "view": "commodity_prices", **labels}
    )


def test_what_a_check_found_is_told_by_kind():
    counts = {Kind.EQUAL: 6, Kind.MISSING: 1, Kind.STALE: 1, Kind.AHEAD: 5}
    metrics.show_parity(PROJECT, {"commodity_prices": an_outcome(counts=counts)})
    assert (parity("rate"), parity("compared")) == (0.75, 8)
    found = {kind.value: parity("mismatches", kind=kind.value) for kind in Kind if kind != Kind.EQUAL}
    assert found == {
        "different": 0, "missing": 1, "stale": 1, "late": 0, "extra": 0, "ahead": 5, "pending": 0,
    }  # fmt: skip


@pytest.mark.parametrize("later", [{}, {"commodity_prices": an_outcome(counts={}, failed=True)}])
def test_a_view_of_which_nothing_is_known_any_more_has_no_rate(later):
    metrics.show_parity(PROJECT, {"commodity_prices": an_outcome()})
    metrics.show_parity(PROJECT, later)
    assert series() == []


def test_a_view_that_is_gone_leaves_no_series():
    metrics.count_runs(PROJECT, [a_run(), a_run(view="stays")])
    metrics.show_newest_run(PROJECT, a_run())
    metrics.keep_views(PROJECT, {"stays", "never ran"})
    assert series()
    assert not [line for line in series() if "commodity_prices" in line]


def test_a_project_that_is_gone_leaves_no_series():
    metrics.show_parity(PROJECT, {"commodity_prices": an_outcome()})
    metrics.count_runs(PROJECT, [a_run()])
    metrics.show_newest_run(PROJECT, a_run())
    metrics.forget(PROJECT)
    assert series() == []
