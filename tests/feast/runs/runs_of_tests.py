"""Rows, tasks and runs of these tests."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from world import PROJECT, World

from featureplane.materialization.history import SUCCEEDED, Run, insert_run
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.online.layout import field
from featureplane.registry.database import begin

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(lake: Path, prices: list[float | None], when: datetime = NOON - HOUR, **more: list[Any]) -> None:
    """A row for each price, of the commodities c0, c1, ..."""
    names = [f"c{number}" for number in range(len(prices))]
    rows = {"event_timestamp": [when] * len(prices), "commodity": names, "price": prices, **more}
    pd.DataFrame(rows).to_parquet(lake / "new.parquet")
    (lake / "new.parquet").replace(lake / "prices.parquet")


def task(view: str = "commodity_prices", end: datetime = NOON, job: str = "hourly", **more: Any) -> Task:
    return Task(view, BEGINNING, end, job, **more)


def prices(world: World) -> list[float | None]:
    """What is stored of each commodity, as the field's bytes say."""
    found = {}
    for key in world.redis.scan_iter():
        value = world.redis.hget(key, field("commodity_prices", "price"))
        found[key[-len(PROJECT) - 2 : -len(PROJECT)]] = struct.unpack("<d", value[1:])[0] if value else None
    return [found[name] for name in sorted(found)]


def note(world: World, *runs: Run) -> None:
    with begin(world.engine, world.stores.postgres) as connection:
        for run in runs:
            insert_run(connection, PROJECT, run)


def a_run(view: str, ended: datetime, result: Any = SUCCEEDED, job: str = "job-1", seconds: float = 60) -> Run:
    return Run(view, job, ended - HOUR, ended, ended - timedelta(seconds=seconds), ended, result)
