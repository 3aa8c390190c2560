"""What a training set must be, in as few words as can be: every row is looked at for every moment."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]


def as_known(
    history: Sequence[Row], entity: Row, keys: Sequence[str], features: Sequence[str], ttl: timedelta
) -> dict[str, Any]:
    """The features of an entity as they were known at its `event_timestamp`, by a history in the order of writing.

    The newest event counts, then the last `created`, then the last row; a row exactly as old as the ttl still does.
    """
    moment = _aware(entity["event_timestamp"])
    found: tuple[datetime, datetime, int] | None = None
    values: Row = {}
    for number, row in enumerate(history):
        if any(entity[key] is None or row[key] != entity[key] for key in keys) or row["at"] is None:
            continue
        at = _aware(row["at"])
        if at > moment or (ttl and at < moment - ttl):
            continue
        created = row.get("created")
        age = (at, _aware(created) if created else datetime.min.replace(tzinfo=UTC), number)
        if found is None or age > found:
            found, values = age, row
    return {name: values.get(name) for name in features}


def _aware(time: datetime) -> datetime:
    """A time without a zone is UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
