"""Cron lines, as a Kubernetes CronJob takes them: five fields, checked by cronsim."""

import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from featureplane.model.base import shown, wrong

CRON_PATTERN = r"^[0-9A-Za-z*,/ -]+$"
TIME_ZONE_PATTERN = r"^[A-Za-z0-9_+/-]+$"

_FIELDS = 5
_SUNDAY_AS_7 = re.compile(r"(^|[,-])7($|[,-])", re.ASCII)
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def check_cron(line: str) -> str:
    """Return `line`, or raise what is wrong with it.

    Kubernetes parses five fields with robfig/cron; cronsim knows Debian's superset, so `L`, a weekday 7 and a sixth
    field, which only cronsim reads, are refused first.
    """
    fields = line.split(" ")
    if len(fields) != _FIELDS or not all(fields):
        raise wrong(
            f"{shown(line)} is not five fields with one space between them",
            "write minute, hour, day of month, month and day of week, like '5 * * * *'",
        )
    if any("L" in field.upper().replace("JUL", "") for field in fields):
        raise wrong(f"{shown(line)} uses L, which a Kubernetes CronJob does not know", "list the days instead")
    if _SUNDAY_AS_7.search(re.sub(r"/[^,]*", "", fields[-1])):
        raise wrong(f"{shown(line)} has 7 for a day, which a Kubernetes CronJob does not know", "write 0 for Sunday")
    try:
        next(CronSim(line, _ANY_DAY))
    except StopIteration:
        raise wrong(f"{shown(line)} never comes true", "check the day and the month") from None
    except CronSimError as error:
        raise wrong(f"{shown(line)} is not a cron line ({error})", "write one like '5 * * * *'") from None
    return line


def check_time_zone(name: str) -> str:
    if name not in _time_zones():
        raise wrong(f"{shown(name)} is no time zone of the IANA database", "write one like Etc/UTC or Europe/Berlin")
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def next_time(line: str, time_zone: str, after: datetime) -> datetime:
    """The first time after `after` (an aware datetime) at which the line is due, in UTC."""
    return _next_time(line, time_zone, after.astimezone(UTC).replace(second=0, microsecond=0))


@lru_cache(4096)
def _next_time(line: str, time_zone: str, minute: datetime) -> datetime:
    """Lines are due at whole minutes, so those who ask within one get one answer: thousands of views do."""
    return next(CronSim(line, minute.astimezone(ZoneInfo(time_zone)))).astimezone(UTC)


Cron = Annotated[str, Field(min_length=1, max_length=100, pattern=CRON_PATTERN), AfterValidator(check_cron)]
TimeZone = Annotated[
    str, Field(min_length=1, max_length=64, pattern=TIME_ZONE_PATTERN), AfterValidator(check_time_zone)
]
