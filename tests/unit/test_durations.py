import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featureplane.model.durations import LONGEST, PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1s", timedelta(seconds=1)),
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("2d", timedelta(days=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("007h", timedelta(hours=7)),
        ("36500d", LONGEST),
    ],
)
def test_durations_are_read(text, value):
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "h",
        "1 h",
        "1h ",
        " 1h",
        "-1h",
        "+1h",
        "1.5h",
        "30m1h",
        "1h1h",
        "1H",
        "P1D",
        "1w",
        "1ms",
        "\uff11d",
        "1h\n",
        "1h;1m",
    ],
)
def test_what_is_no_duration_says_how_to_write_one(text):
    with pytest.raises(
        ValueError, match="is not a duration; write days, hours, minutes and seconds in this order, like"
    ):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0d0h0m0s"])
def test_no_time_at_all_is_refused(text):
    with pytest.raises(ValueError, match="is no time at all; write at least 1s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "36500d1s", "99999999m99999999s"])
def test_more_than_a_hundred_years_is_refused(text):
    with pytest.raises(ValueError, match="is longer than 36500d; write less"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(timedelta(minutes=90), "1h30m"), (timedelta(days=2), "2d"), (timedelta(hours=48), "2d"), (timedelta(0), "0s")],
)
def test_the_shortest_spelling_is_written(value, text):
    assert format_duration(value) == text


@given(st.integers(1, int(LONGEST.total_seconds())))
def test_what_is_written_is_read_back(seconds):
    value = timedelta(seconds=seconds)
    assert parse_duration(format_duration(value)) == value


@given(st.from_regex(PATTERN, fullmatch=True) | st.text(alphabet="0129dhms .-+PT", max_size=12))
def test_the_api_server_lets_through_whatever_is_read(text):
    try:
        parse_duration(text)
    except ValueError:
        return
    assert re.search(PATTERN, text)
    assert 2 <= len(text) <= 32
