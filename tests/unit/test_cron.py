from datetime import UTC, datetime

import pytest

from factories import a_project, problems_in
from featureplane.model.cron import next_time


def problems_of_schedule(**changes):
    schedule = {"cron": "5 * * * *", "window": "2h", **changes}
    return problems_in(a_project(schedules={"hourly": schedule}))


@pytest.mark.parametrize(
    "line",
    [
        "5 * * * *",
        "0 2 * * *",
        "*/5 * * * *",
        "0-59/5 * * * *",
        "5/15 * * * *",
        "1,2,30 * * * *",
        "0 0 29 2 *",
        "0 0 * JUL *",
        "0 0 * jan-mar MON",
        "0 0 * * 0",
        "0 0 * * 1-5",
        "0 0 * * sun,SAT",
        "0 0 * * */7",
        "05 07 * * *",
    ],
)
def test_lines_that_a_cron_job_takes_are_accepted(line):
    assert problems_of_schedule(cron=line) == []


PATH = "spec.schedules.hourly.cron"
FORM = "write minute, hour, day of month, month and day of week, like"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("* * * *", f"'* * * *' is not five fields with one space between them; {FORM} '5 * * * *'"),
        ("5 * * * * *", f"'5 * * * * *' is not five fields with one space between them; {FORM} '5 * * * *'"),
        (" 5 * * * *", f"' 5 * * * *' is not five fields with one space between them; {FORM} '5 * * * *'"),
        ("5  * * * *", f"'5  * * * *' is not five fields with one space between them; {FORM} '5 * * * *'"),
        ("@hourly", f"'@hourly' is not allowed here; {FORM} 5 * * * *"),
        ("5\t* * * *", f"'5\\t* * * *' is not allowed here; {FORM} 5 * * * *"),
        ("5 * * * *\n", f"'5 * * * *\\n' is not allowed here; {FORM} 5 * * * *"),
        ("0 0 ? * *", f"'0 0 ? * *' is not allowed here; {FORM} 5 * * * *"),
        ("0 0 * * 5#2", f"'0 0 * * 5#2' is not allowed here; {FORM} 5 * * * *"),
        ("TZ=UTC 5 * * * *", f"'TZ=UTC 5 * * * *' is not allowed here; {FORM} 5 * * * *"),
        ("60 * * * *", "'60 * * * *' is not a cron line (Bad minute); write one like '5 * * * *'"),
        ("*/0 * * * *", "'*/0 * * * *' is not a cron line (Bad minute); write one like '5 * * * *'"),
        ("5-1 * * * *", "'5-1 * * * *' is not a cron line (Bad minute); write one like '5 * * * *'"),
        ("0 24 * * *", "'0 24 * * *' is not a cron line (Bad hour); write one like '5 * * * *'"),
        ("0 0 30 2 *", "'0 0 30 2 *' is not a cron line (Bad day-of-month); write one like '5 * * * *'"),
        ("0 0 L * *", "'0 0 L * *' uses L, which a Kubernetes CronJob does not know; list the days instead"),
        ("0 0 * * 5L", "'0 0 * * 5L' uses L, which a Kubernetes CronJob does not know; list the days instead"),
        ("0 0 * * 7", "'0 0 * * 7' has 7 for a day, which a Kubernetes CronJob does not know; write 0 for Sunday"),
        ("0 0 * * 1-7", "'0 0 * * 1-7' has 7 for a day, which a Kubernetes CronJob does not know; write 0 for Sunday"),
        ("", "is empty; write something"),
        (7, "must be text, not 7; put it in quotes"),
    ],
)
def test_other_lines_are_refused(line, problem):
    assert problems_of_schedule(cron=line) == [f"{PATH}: {problem}"]


def test_a_line_that_never_comes_true_is_refused(monkeypatch):
    monkeypatch.setattr("featureplane.model.cron.CronSim", lambda *_: iter(()))
    assert f"{PATH}: '5 * * * *' never comes true; check the day and the month" in problems_of_schedule()


@pytest.mark.parametrize("name", ["UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_time_zones_of_the_iana_database_are_accepted(name):
    assert problems_of_schedule(timeZone=name) == []


@pytest.mark.parametrize(
    "name", ["europe/berlin", "localtime", "Factory", "posix/UTC", "+02:00", "../../etc/passwd", "zone.tab"]
)
def test_other_time_zones_are_refused(name):
    (problem,) = problems_of_schedule(timeZone=name)
    assert problem.startswith(f"spec.schedules.hourly.timeZone: '{name}' is ")
    assert problem.endswith("; write one like Etc/UTC or Europe/Berlin")


@pytest.mark.parametrize(
    ("line", "time_zone", "after", "due"),
    [
        ("5 * * * *", "Etc/UTC", "2025-06-01T10:05", "2025-06-01T11:05"),
        ("0 2 * * *", "Etc/UTC", "2025-06-01T01:59", "2025-06-01T02:00"),
        ("0 2 * * *", "Europe/Berlin", "2025-06-01T00:30", "2025-06-02T00:00"),
        ("0 2 * * *", "Asia/Kolkata", "2025-06-01T00:00", "2025-06-01T20:30"),
        # 2:30 does not exist on this day in Berlin: Debian's cron runs what it would have missed at once.
        ("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00", "2025-03-30T01:00"),
    ],
)
def test_the_next_time_is_in_utc(line, time_zone, after, due):
    found = next_time(line, time_zone, datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)
