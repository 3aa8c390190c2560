"""The arithmetic of materialization windows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature_view, a_project, defined
from featureplane.materialization.windows import (
    BEGINNING,
    Task,
    ViewPlan,
    due,
    first_runs,
    initial,
    scheduled,
    view_plans,
)
from featureplane.model.feast_project import FeastProject

NOW = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICES = ViewPlan("prices", "hourly", 2 * HOUR, timedelta(days=2))
GROWTH = ViewPlan("growth", "daily", timedelta(days=7), None)


def test_a_run_looks_back_over_its_window():
    assert scheduled(NOW, 2 * HOUR, None) == (NOW - 2 * HOUR, NOW)


def test_a_success_within_the_window_does_not_shorten_it():
    assert scheduled(NOW, 2 * HOUR, NOW - HOUR) == (NOW - 2 * HOUR, NOW)


def test_after_an_outage_a_run_starts_at_the_last_success():
    assert scheduled(NOW, 2 * HOUR, NOW - 30 * HOUR) == (NOW - 30 * HOUR, NOW)


@given(ages=st.lists(st.integers(0, 10**6), max_size=8), window=st.integers(1, 10**5))
def test_runs_at_any_times_leave_no_gap_and_never_end_in_the_future(ages, window):
    last, covered = None, None
    for age in sorted(ages, reverse=True):
        now = NOW - timedelta(seconds=age)
        start, end = scheduled(now, timedelta(seconds=window), last)
        assert end == now
        assert covered is None or start <= covered
        last = covered = end


def test_a_first_run_covers_the_ttl_or_all_there_is():
    assert initial(NOW, timedelta(days=2)) == (NOW - timedelta(days=2), NOW)
    assert initial(NOW, None) == (BEGINNING, NOW)


def test_a_view_that_never_succeeded_gets_its_first_run():
    assert due([PRICES], NOW, {}) == [Task("prices", NOW - timedelta(days=2), NOW, "initial")]


def test_a_view_that_wants_no_first_run_gets_its_window():
    view = ViewPlan("prices", "hourly", 2 * HOUR, None, first_run=False)
    assert due([view], NOW, {}) == [Task("prices", NOW - 2 * HOUR, NOW, "hourly")]
    assert due([view], NOW, {}, only_first=True) == []


def test_only_views_of_the_schedule_are_due():
    done = {"prices": NOW, "growth": NOW}
    assert [task.view for task in due([PRICES, GROWTH], NOW, done, schedule="daily")] == ["growth"]
    assert [task.view for task in due([PRICES, GROWTH], NOW, done)] == ["prices", "growth"]


def test_only_first_runs_leave_out_what_succeeded_once():
    assert [task.view for task in due([PRICES, GROWTH], NOW, {"prices": NOW}, only_first=True)] == ["growth"]


@pytest.mark.parametrize(
    "view", [ViewPlan("a", "never", HOUR, None), ViewPlan("a", "hourly", HOUR, None, suspended=True)]
)
def test_suspended_views_and_views_without_a_schedule_are_never_due(view):
    assert due([view], NOW, {}) == []


SCHEDULES = FeastProject.model_validate(a_project()).spec.schedules


def views(**changes):
    return [item for item in defined(a_feature_view("prices", **changes)) if item.kind == "feature_view"]


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({"ttl": "2d"}, PRICES),
        ({"materialization": {"schedule": "daily"}}, ViewPlan("prices", "daily", timedelta(days=7), None)),
        (
            {"materialization": {"window": "90m", "initial": False}, "suspend": True},
            ViewPlan("prices", "hourly", timedelta(minutes=90), None, first_run=False, suspended=True),
        ),
        (
            {"materialization": {"window": "90m"}, "online": False},
            ViewPlan("prices", "never", timedelta(minutes=90), None),
        ),
    ],
)
def test_a_view_says_what_its_windows_are_and_else_its_schedule_does(changes, plan):
    assert view_plans(views(**changes), SCHEDULES) == [plan]


def test_a_view_without_any_window_is_left_out():
    assert view_plans(views(materialization={"schedule": "never"}), SCHEDULES) == []
    assert view_plans(views(), {"daily": SCHEDULES["daily"]}) == []


def test_first_runs_ask_for_no_history():
    tasks = first_runs([*views(ttl="2d"), *views()], NOW)
    assert tasks == [Task("prices", NOW - timedelta(days=2), NOW, "initial"), Task("prices", BEGINNING, NOW, "initial")]
