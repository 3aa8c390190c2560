"""Each run is counted once, and what ended before this process is not."""

from hypothesis import given
from hypothesis import strategies as st

from featureplane.controller.tally import Tally
from unit.controller.test_view_status import a_run

# As `outlook.ended_since` reads: a little below the newest id as well.
LATE = 100


def views(runs):
    return [run.view for run in runs]


def found(visible, newest):
    return {number: a_run(view=str(number)) for number in sorted(visible) if number > newest - LATE}


def test_the_history_of_before_this_process_is_not_new():
    assert Tally().take(found({1, 2, 3}, 0)) == []


def test_a_run_is_new_once():
    tally = Tally()
    tally.take(found({1}, 0))
    assert views(tally.take(found({1, 2}, tally.newest))) == ["2"]
    assert tally.take(found({1, 2}, tally.newest)) == []


def test_an_earlier_number_that_is_seen_later_is_new():
    tally = Tally()
    tally.take(found({7, 9}, 0))
    assert views(tally.take(found({7, 8, 9}, tally.newest))) == ["8"]


def test_the_first_run_of_a_project_without_any_is_new():
    tally = Tally()
    tally.take({})
    assert tally.newest == 0
    assert views(tally.take(found({1}, tally.newest))) == ["1"]


def test_a_history_that_was_pruned_makes_nothing_new():
    tally = Tally()
    tally.take(found({500}, 0))
    assert tally.take({}) == []
    assert views(tally.take(found({501}, tally.newest))) == ["501"]


@given(st.lists(st.sets(st.integers(1, 300), max_size=20), min_size=1, max_size=8))
def test_every_run_that_appears_in_time_is_counted_just_once(arrivals):
    """Numbers appear in any order, each at most so much later than a greater one as the reading allows for."""
    tally, visible, counted = Tally(), set(), []
    for index, arrived in enumerate(arrivals):
        visible |= {number for number in arrived if number > (tally.newest or 0) - LATE}
        if index == 0:
            before = set(visible)
        counted += [int(name) for name in views(tally.take(found(visible, tally.newest or 0)))]
    assert sorted(counted) == sorted(visible - before)
