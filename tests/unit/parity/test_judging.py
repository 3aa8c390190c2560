"""What is said of an entity, by what is online, what its source says and what runs have copied."""

from datetime import UTC, datetime, timedelta

import pytest

from featureplane.materialization.history import CopiedWindow
from featureplane.model.types import parse_type
from featureplane.parity.judging import Copied, Judge, OnlineRow, SourceRow, micros
from featureplane.parity.kinds import Kind
from featureplane.registry.protos import Value

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# The last run copied two hours and ended at noon, the one before an hour earlier; the next looks back from 12:30.
RUNS = [CopiedWindow(NOON - 2 * HOUR - n * HOUR, NOON - n * HOUR, NOON - n * HOUR) for n in range(3)]
NEXT = NOON - 1.5 * HOUR


def serialized(number):
    return Value(double_val=number).SerializeToString()


def online(at, number=1.0, **more):
    return OnlineRow(micros(at), [serialized(number)], **more)


def offline(at, number=1.0, created=None):
    return SourceRow(micros(at), [serialized(number)], created and micros(created))


def kind(is_online, is_offline, *, windows=RUNS, ahead=NEXT, first=True, written=False):
    copied = Copied(windows, ahead and micros(ahead), first)
    judged = Judge([parse_type("Float64")], copied, written).judge(is_online, is_offline)
    return judged and judged.kind


AT = NOON - HOUR
LONG_AGO = NOON - 30 * HOUR


@pytest.mark.parametrize(
    ("is_online", "is_offline", "found"),
    [
        (online(AT), offline(AT), Kind.EQUAL),
        (online(AT, 2.0), offline(AT), Kind.DIFFERENT),
        (OnlineRow(), offline(AT), Kind.MISSING),
        (online(AT - HOUR), offline(AT), Kind.STALE),
        (online(AT, is_expired=True), offline(AT), Kind.MISSING),
        (online(AT), None, Kind.EXTRA),
        (online(AT), offline(AT - HOUR), Kind.EXTRA),
        (online(NOON + HOUR), None, Kind.AHEAD),
        (online(NOON + HOUR), offline(AT), Kind.AHEAD),
        (OnlineRow(), None, None),
        (online(AT, is_expired=True), None, None),
        (OnlineRow(is_unreadable=True), offline(AT), Kind.DIFFERENT),
        (OnlineRow(is_unreadable=True), None, Kind.DIFFERENT),
    ],
)
def test_what_is_said_of_an_entity(is_online, is_offline, found):
    assert kind(is_online, is_offline) == found


@pytest.mark.parametrize("is_offline", [None, offline(AT - HOUR)])
def test_a_row_that_was_pushed_is_ahead_of_its_source(is_offline):
    assert kind(online(AT), is_offline, written=True) == Kind.AHEAD


@pytest.mark.parametrize("is_online", [OnlineRow(), online(LONG_AGO)])
@pytest.mark.parametrize(
    ("at", "created", "found"),
    [
        # It was there when the last run read its window.
        (AT, NOON - HOUR / 2, "wrong"),
        (AT, NOON, "wrong"),
        # It came later, and the next run's window reaches it, or does not.
        (AT, NOON + HOUR / 4, Kind.PENDING),
        (NEXT, NOON + HOUR / 4, Kind.PENDING),
        (NEXT - HOUR / 4, NOON + HOUR / 4, Kind.LATE),
        # It came between two runs, before the window of the later one.
        (NOON - 2.5 * HOUR, NOON - HOUR / 2, Kind.LATE),
        (NOON - 2.5 * HOUR, NOON - HOUR, "wrong"),
        # From before all runs that are remembered.
        (NOON - 20 * HOUR, NOON - 19 * HOUR, "wrong"),
        (NOON - 20 * HOUR, NOON - HOUR / 2, Kind.LATE),
    ],
)
def test_a_row_that_is_not_online_came_too_late_or_was_lost(is_online, at, created, found):
    wrong = Kind.MISSING if is_online.time is None else Kind.STALE
    assert kind(is_online, offline(at, created=created)) == (wrong if found == "wrong" else found)


def test_without_a_created_timestamp_a_window_that_has_the_row_counts():
    assert kind(OnlineRow(), offline(AT)) == Kind.MISSING
    assert kind(OnlineRow(), offline(NOON - 20 * HOUR)) == Kind.MISSING
    gap = [CopiedWindow(NOON - HOUR, NOON, NOON), CopiedWindow(NOON - 9 * HOUR, NOON - 5 * HOUR, NOON - 5 * HOUR)]
    assert kind(OnlineRow(), offline(NOON - 3 * HOUR), windows=gap, ahead=NOON - 4 * HOUR) == Kind.PENDING
    assert kind(OnlineRow(), offline(NOON - 3 * HOUR), windows=gap) == Kind.LATE


def test_where_no_run_comes_nothing_is_late():
    created = NOON + HOUR
    assert kind(OnlineRow(), offline(LONG_AGO, created=created), ahead=None) == Kind.PENDING


def test_a_view_without_a_first_run_never_had_what_is_older_than_its_windows():
    assert kind(OnlineRow(), offline(NOON - 20 * HOUR), first=False) == Kind.LATE
