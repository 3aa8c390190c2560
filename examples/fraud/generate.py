"""Data for the fraud example: card transactions as the view reads them, and the labels that a model is trained with.

    python examples/fraud/generate.py [--out FOLDER] [--seed 254] [--now 2026-03-04T10:37:00Z]

Cards have habits, and thieves have others; what a model gets follows from the history of the card up to that moment.
One seed and one --now give the same bytes.
"""

import argparse
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TRANSACTIONS = 10_000
CARDS = 500
HISTORY = timedelta(days=45)  # longer than the ttl of 30 days, so that some rows are too old to be copied
INCIDENTS = 60  # stolen cards, each used a few times within an hour
NEWEST_AGE = timedelta(minutes=3)
LABEL_DELAY = timedelta(days=7)  # until a cardholder has complained and somebody has looked at it
SECOND, DAY, MONTH = timedelta(seconds=1), timedelta(days=1), timedelta(days=30)

# Median of the amount in EUR, its share of purchases, its share of frauds, and whether the card is usually there.
CATEGORIES = {
    "groceries": (31.0, 0.30, 0.02, 0.95),
    "restaurants": (24.0, 0.17, 0.03, 0.93),
    "fuel": (52.0, 0.11, 0.04, 0.97),
    "transport": (9.0, 0.12, 0.03, 0.70),
    "clothing": (48.0, 0.09, 0.10, 0.45),
    "entertainment": (16.0, 0.09, 0.05, 0.15),
    "electronics": (120.0, 0.05, 0.33, 0.30),
    "gift_cards": (50.0, 0.02, 0.25, 0.25),
    "travel": (210.0, 0.04, 0.08, 0.05),
    "jewellery": (160.0, 0.01, 0.07, 0.60),
}
NAMES = list(CATEGORIES)
_MEDIANS, _PURCHASES, _FRAUDS, _PRESENT = (np.array(column) for column in zip(*CATEGORIES.values(), strict=True))
# How much is bought in each hour, UTC: little at night, most at noon and in the early evening.
BY_HOUR = np.array([1, 1, 1, 1, 1, 2, 4, 8, 10, 11, 12, 15, 17, 14, 12, 12, 14, 18, 19, 15, 10, 7, 4, 2], float)
COUNTRIES = {"DE": 0.45, "FR": 0.2, "NL": 0.15, "ES": 0.12, "PL": 0.08}
ABROAD = ["US", "GB", "TR", "BR", "TH"]
# Share of payments without the card from a device that it was used on before, by whether it was stolen.
FAMILIAR = {False: 0.93, True: 0.1}
STOLEN_NEARBY = 0.2  # with the purse, and used next door


class Card(NamedTuple):
    country: str
    spending: float  # its amounts are so many times the usual ones
    age_days: int  # of the account, at the end of the history
    roams: float  # share of purchases abroad


class Transaction(NamedTuple):
    """What is known of a payment by itself."""

    at: datetime
    card: int
    category: str
    amount: float
    present: bool
    country: str
    distance: float  # km between the merchant and the cardholder's home
    known_device: bool
    is_fraud: bool


def cards(random: np.random.Generator) -> list[Card]:
    return [
        Card(
            str(random.choice(list(COUNTRIES), p=list(COUNTRIES.values()))),
            float(random.lognormal(0, 0.45)),
            int(random.integers(60, 4000)),
            float(random.beta(1, 25)),
        )
        for _ in range(CARDS)
    ]


def euros(amount: float) -> float:
    return max(round(float(amount), 2), 0.01)


def purchase(random: np.random.Generator, at: datetime, number: int, card: Card) -> Transaction:
    """What the cardholder does."""
    kind = int(random.choice(len(NAMES), p=_PURCHASES))
    roams = random.random() < card.roams
    present = bool(random.random() < _PRESENT[kind])
    return Transaction(
        at,
        number,
        NAMES[kind],
        euros(_MEDIANS[kind] * card.spending * random.lognormal(0, 0.5)),
        present,
        str(random.choice(ABROAD)) if roams else card.country,
        round(float(random.lognormal(7.0, 0.5) if roams else random.lognormal(1.6, 1.0)), 1),
        present or bool(random.random() < FAMILIAR[False]),
        False,
    )


def theft(random: np.random.Generator, begin: datetime, number: int, card: Card) -> Iterator[Transaction]:
    """What a thief does: a small amount to see whether the card works, then large ones until it is blocked."""
    at = begin
    for step in range(int(random.integers(2, 6))):
        kind = int(random.choice(len(NAMES), p=_FRAUDS))
        amount = random.uniform(0.5, 4) if step == 0 else _MEDIANS[kind] * random.lognormal(1.1, 0.6)
        near = bool(random.random() < STOLEN_NEARBY)
        yield Transaction(
            at,
            number,
            NAMES[kind],
            euros(amount),
            near,
            card.country if near else str(random.choice(ABROAD)),
            round(float(random.lognormal(2.0, 0.8) if near else random.lognormal(7.5, 0.6)), 1),
            bool(random.random() < FAMILIAR[True]),
            True,
        )
        at += timedelta(seconds=int(random.integers(40, 900)))


def transactions(random: np.random.Generator, owners: list[Card], now: datetime) -> list[Transaction]:
    """All of them, oldest first; the newest is a few minutes old."""
    newest = now.replace(microsecond=0) - NEWEST_AGE
    found: list[Transaction] = []
    for _ in range(INCIDENTS):
        begin = newest - timedelta(hours=2) - SECOND * int(random.integers(HISTORY.total_seconds() - 7200))
        number = int(random.integers(CARDS))
        found += theft(random, begin, number, owners[number])
    activity = random.lognormal(0, 0.7, CARDS)
    numbers = random.choice(CARDS, size=TRANSACTIONS - len(found), p=activity / activity.sum())
    for index, number in enumerate(map(int, numbers)):
        at = newest if index == 0 else moment_of_purchase(random, newest)
        found.append(purchase(random, at, number, owners[number]))
    return sorted(found)


def moment_of_purchase(random: np.random.Generator, newest: datetime) -> datetime:
    """Some second of the history, more often where people are awake."""
    while True:
        at = newest - SECOND * int(random.integers(1, HISTORY.total_seconds()))
        if random.random() * BY_HOUR.max() < BY_HOUR[at.hour]:
            return at


def rows(random: np.random.Generator, found: list[Transaction], owners: list[Card]) -> Iterator[dict[str, Any]]:
    """Each transaction as the view has it, with what its card did before."""
    last = found[-1].at
    before: dict[int, deque[Transaction]] = defaultdict(deque)
    for number, one in enumerate(found, start=1):
        card, seen = owners[one.card], before[one.card]
        while seen and seen[0].at < one.at - MONTH:
            seen.popleft()
        mean = sum(each.amount for each in seen) / len(seen) if seen else None
        yield {
            "timestamp": one.at,
            "created": one.at + timedelta(milliseconds=int(random.integers(80, 900))),
            "transaction_id": f"txn-{number:06}",
            "amount": one.amount,
            "transaction_hour": one.at.hour,
            "merchant_category": one.category,
            "merchant_country": one.country,
            "card_present": one.present,
            "cross_border": one.country != card.country,
            "distance_from_home_km": one.distance,
            "known_device": one.known_device,
            "account_age_days": card.age_days - (last - one.at).days,
            "transactions_24h": 1 + sum(each.at > one.at - DAY for each in seen),
            "amount_to_mean_30d": round(one.amount / mean, 4) if mean else None,
            "seconds_since_last": int((one.at - seen[-1].at) / SECOND) if seen else None,
        }
        seen.append(one)


TIMESTAMP = pa.timestamp("us", tz="UTC")
TRANSACTION = pa.schema({
    "timestamp": TIMESTAMP,
    "created": TIMESTAMP,
    "transaction_id": pa.string(),
    "amount": pa.float64(),
    "transaction_hour": pa.int64(),
    "merchant_category": pa.string(),
    "merchant_country": pa.string(),
    "card_present": pa.bool_(),
    "cross_border": pa.bool_(),
    "distance_from_home_km": pa.float64(),
    "known_device": pa.bool_(),
    "account_age_days": pa.int64(),
    "transactions_24h": pa.int64(),
    "amount_to_mean_30d": pa.float64(),
    "seconds_since_last": pa.int64(),
})  # fmt: skip
LABEL = pa.schema({"transaction_id": pa.string(), "event_timestamp": TIMESTAMP, "is_fraud": pa.bool_()})


def generate(out: Path, seed: int, now: datetime) -> None:
    """Write both files into `out`; no row is of after `now` or written after it."""
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    owners = cards(random)
    found = transactions(random, owners, now)
    known = list(rows(random, found, owners))
    # A label belongs to the moment at which the model was asked: just after the row was written.
    labels = [
        {"transaction_id": row["transaction_id"], "event_timestamp": one.at + SECOND, "is_fraud": one.is_fraud}
        for one, row in zip(found, known, strict=True)
        if one.at < now - LABEL_DELAY
    ]
    for name, time, lines, schema in (
        ("transactions", "timestamp", known, TRANSACTION),
        ("labels", "event_timestamp", labels, LABEL),
    ):
        pq.write_table(pa.Table.from_pylist(lines, schema), out / f"{name}.parquet")
        newest = lines[-1][time]
        print(f"{out / name}.parquet: {len(lines)} rows, the newest of {newest:%Y-%m-%d %H:%M} UTC")  # noqa: T201


def instant(text: str) -> datetime:
    """A point in time from ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Parquet files of the fraud example.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder for the files")
    parser.add_argument("--seed", type=int, default=254, help="another seed, other cards and thieves")
    parser.add_argument("--now", type=instant, default=datetime.now(UTC), help="time of the newest rows, ISO 8601")
    arguments = parser.parse_args()
    generate(arguments.out, arguments.seed, arguments.now)
