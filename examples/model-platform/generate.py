"""Data for the model-platform example: what two teams know of their customers, and the labels of each one's model.

    python examples/model-platform/generate.py [--out FOLDER] [--seed 254] [--now 2026-03-04T10:37:00Z]

Writes a folder for each project, `model-a` and `model-b`. Each label comes from what was true a month before, with
chance in it, so that a model has something to learn. One seed and one --now give the same bytes.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SUBSCRIBERS, BORROWERS = 120, 100
DAYS = 90  # of history
DAYS_OF_ACTIVITY = 60  # counted twice a day
KNOWN_AFTER, OLDEST_LABEL = 31, 55  # days: what becomes of a customer within a month is known after it
PAYS_BY_ITSELF = 0.55  # how loyal a subscriber is who lets the fee be collected
PLAN_CHANGES = 1 / 90  # a day
PLANS = {"basic": 7.99, "standard": 12.99, "family": 18.99}
DAY = timedelta(days=1)
LABELS_EACH = 2
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def model_a(random: np.random.Generator, now: datetime) -> Tables:
    """Subscribers of a streaming service: who watches less and asks for help more, leaves."""
    tables: Tables = {"profiles": [], "activity": [], "labels": []}
    for number in range(1, SUBSCRIBERS + 1):
        customer, offset = f"sub-{number:05}", timedelta(seconds=int(random.integers(3600)))
        plan = str(random.choice(list(PLANS)))
        tenure, loyal = int(random.integers(1, 72)), float(random.beta(4, 2))
        for day in days(now - offset):
            if random.random() < PLAN_CHANGES:
                plan = str(random.choice(list(PLANS)))
            months = max(tenure + DAYS // 30 - (now - day).days // 30, 0)
            tables["profiles"].append({
                "event_timestamp": day, "customer_id": customer, "tenure_months": months, "plan": plan,
                "monthly_fee": PLANS[plan], "autopay": loyal > PAYS_BY_ITSELF,
            })  # fmt: skip
        watched = loyal * (1 - (1 - loyal) * random.random())
        for moment in moments(now - offset, DAYS_OF_ACTIVITY * DAY, DAY / 2):
            sessions = int(random.poisson(12 * watched))
            tables["activity"].append({
                "event_timestamp": moment, "customer_id": customer, "sessions_7d": sessions,
                "minutes_7d": round(float(sessions * random.gamma(4, 11)), 1),
                "support_tickets_30d": int(random.poisson(2 * (1 - loyal) ** 2)),
                "last_login": moment - timedelta(seconds=int(random.exponential(40_000 / (0.1 + watched)))),
            })  # fmt: skip
        for when in asked(random, now):
            leaves = random.random() < 0.02 + 0.5 * (1 - loyal) ** 2
            tables["labels"].append({"customer_id": customer, "event_timestamp": when, "churned": bool(leaves)})
    return tables


def model_b(random: np.random.Generator, now: datetime) -> Tables:
    """Borrowers of a bank: who uses all of a limit and pays late, defaults."""
    tables: Tables = {"profiles": [], "payments": [], "labels": []}
    for customer in range(7001, 7001 + BORROWERS):
        offset = timedelta(seconds=int(random.integers(3600)))
        careful, income = float(random.beta(5, 2)), round(float(random.lognormal(10.4, 0.4)), 2)
        years = int(random.integers(0, 25))
        limit = round(income * float(random.uniform(0.05, 0.3)), -2) + 100
        for day in days(now - offset):
            used = float(np.clip(random.normal(1 - careful, 0.12), 0, 1.2))
            late = int(random.poisson(3 * (1 - careful) ** 2))
            tables["profiles"].append({
                "event_timestamp": day, "customer_id": customer, "yearly_income": income, "years_employed": years,
                "credit_limit": limit,
            })  # fmt: skip
            tables["payments"].append({
                "event_timestamp": day, "customer_id": customer, "utilisation": used, "late_payments_12m": late,
                "payment_ratio": float(np.clip(random.normal(careful, 0.1), 0, 1)),
                "last_payment": day - timedelta(days=int(random.integers(0, 31))),
            })  # fmt: skip
        for when in asked(random, now):
            defaults = random.random() < 0.01 + 0.4 * (1 - careful) ** 2
            tables["labels"].append({"customer_id": customer, "event_timestamp": when, "defaulted": bool(defaults)})
    return tables


def moments(newest: datetime, span: timedelta, step: timedelta) -> Iterator[datetime]:
    """Oldest first; the newest a few minutes before."""
    last = newest.replace(microsecond=0) - timedelta(minutes=3)
    for number in range(span // step, -1, -1):
        yield last - number * step


def days(newest: datetime) -> Iterator[datetime]:
    return moments(newest, DAYS * DAY, DAY)


def asked(random: np.random.Generator, now: datetime) -> list[datetime]:
    """Moments for which it is known by now what became of the customer."""
    ages = random.uniform(KNOWN_AFTER, OLDEST_LABEL, LABELS_EACH)
    return sorted((now - age * DAY).replace(microsecond=0) for age in ages)


TIMESTAMP = pa.timestamp("us", tz="UTC")
COLUMNS: dict[str, dict[str, dict[str, pa.DataType]]] = {
    "model-a": {
        "profiles": {
            "tenure_months": pa.int64(), "plan": pa.string(), "monthly_fee": pa.float64(), "autopay": pa.bool_(),
        },
        "activity": {
            "sessions_7d": pa.int64(), "minutes_7d": pa.float64(), "support_tickets_30d": pa.int64(),
            "last_login": TIMESTAMP,
        },
        "labels": {"churned": pa.bool_()},
    },
    "model-b": {
        "profiles": {"yearly_income": pa.float64(), "years_employed": pa.int64(), "credit_limit": pa.float64()},
        "payments": {
            "utilisation": pa.float32(), "late_payments_12m": pa.int64(), "payment_ratio": pa.float32(),
            "last_payment": TIMESTAMP,
        },
        "labels": {"defaulted": pa.bool_()},
    },
}  # fmt: skip
KEYS = {"model-a": pa.string(), "model-b": pa.int64()}
MADE_BY = {"model-a": model_a, "model-b": model_b}


def generate(out: Path, seed: int, now: datetime) -> None:
    """Write a folder of files for each project into `out`; no row is of after `now` or written after it."""
    for project, make in MADE_BY.items():
        folder = out / project
        folder.mkdir(parents=True, exist_ok=True)
        tables = make(np.random.default_rng([seed, crc32(project.encode())]), now)
        for name, columns in COLUMNS[project].items():
            created = {} if name == "labels" else {"created": TIMESTAMP}
            schema = pa.schema({"event_timestamp": TIMESTAMP, **created, "customer_id": KEYS[project], **columns})
            rows = sorted(tables[name], key=lambda row: row["event_timestamp"])
            lines = [row | {key: row["event_timestamp"] + timedelta(seconds=30) for key in created} for row in rows]
            pq.write_table(pa.Table.from_pylist(lines, schema), folder / f"{name}.parquet")
            newest = lines[-1]["event_timestamp"]
            print(f"{folder / name}.parquet: {len(lines)} rows, the newest of {newest:%Y-%m-%d %H:%M} UTC")  # noqa: T201


def instant(text: str) -> datetime:
    """A point in time from ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Parquet files of the model-platform example.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder for the files")
    parser.add_argument("--seed", type=int, default=254, help="another seed, other customers")
    parser.add_argument("--now", type=instant, default=datetime.now(UTC), help="time of the newest rows, ISO 8601")
    arguments = parser.parse_args()
    generate(arguments.out, arguments.seed, arguments.now)
