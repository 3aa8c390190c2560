"""What must be online: the newest row of each entity, read from the file by pyarrow and by nothing of ours."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def newest_rows(path: Path, key: str, ttl: timedelta, now: datetime | None = None) -> dict[str, dict[str, Any]]:
    """By entity, as JSON has them. Of rows with one event time the one that was written last counts."""
    oldest = (now or datetime.now(UTC)) - ttl
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(pq.read_table(path).to_pylist(), key=lambda row: (row["event_timestamp"], row["created"])):
        if row["event_timestamp"] >= oldest:
            newest[row[key]] = row
    return {name: {column: _as_json(value) for column, value in row.items()} for name, row in newest.items()}


def _as_json(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def price_in_24h(row: dict[str, Any]) -> float:
    """What the models of examples/neighbours make of such a row."""
    price = row["current_price"]
    return float(price + (row["ma_7d"] - price) / 3 + price * row["price_change_24h"] / 1000)


def times(cell: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(cell["event_time"])
