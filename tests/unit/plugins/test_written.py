"""What was written is counted, however often, in the memory of one count."""

from datetime import UTC, datetime, timedelta

from featureplane.plugins.written import Written

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rows(*times):
    return [("key", {}, time, None) for time in times]


def test_rows_and_the_newest_time_are_kept_and_no_batch():
    written = Written()
    written.add(rows(NOON, NOON - timedelta(hours=1)))
    kept = vars(written).copy()
    for _ in range(3):
        written.add(rows(datetime(2026, 1, 1, 11)))  # noqa: DTZ001 - one without a zone is UTC
    assert (written.rows, written.newest) == (5, NOON)
    assert {name: type(value) for name, value in vars(written).items()} == {n: type(v) for n, v in kept.items()}


def test_nothing_is_written_by_an_empty_batch_and_after_a_clear():
    written = Written()
    written.add([])
    assert (written.rows, written.newest) == (0, None)
    written.add(rows(NOON))
    written.clear()
    assert (written.rows, written.newest) == (0, None)
