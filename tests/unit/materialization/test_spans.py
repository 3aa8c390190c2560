"""Spans of a window that Feast's retrieval jobs read one after the other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from featureplane.plugins.feast_reader import spans

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.timedeltas(timedelta(0), NOW - BEGINNING))
def test_spans_cover_the_window_without_a_gap(length: timedelta) -> None:
    found = list(spans(NOW - length, NOW))
    assert (found[0][0], found[-1][1]) == (NOW - length, NOW)
    assert all(left[1] == right[0] for left, right in pairwise(found))
    assert all(start <= end for start, end in found)
    assert len(found) <= 60


def test_an_hour_is_one_span_and_recent_years_are_months() -> None:
    assert len(list(spans(NOW - timedelta(hours=1), NOW))) == 1
    recent = [end - start for start, end in spans(BEGINNING, NOW) if start > NOW - timedelta(days=1000)]
    assert set(recent) == {timedelta(days=30)}
