"""Data for the products example: what a shop knows of its products by now, and embeddings of their texts and pictures.

    python examples/products/generate.py [--out FOLDER] [--seed 254] [--now 2026-03-04T10:37:00Z]

Products of one category are described alike and look alike, so their embeddings lie close to each other; popularity
follows from purchases, and the price from the category. One seed and one --now give the same bytes.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PRODUCTS = 400
TEXT_SIZE, IMAGE_SIZE = 384, 512  # those of the usual small models for sentences and for pictures
RECOMPUTED_EVERY = timedelta(minutes=20)
HISTORY = timedelta(hours=5)  # the ttl is an hour: most rows are of the past
EMBEDDED_EVERY = timedelta(hours=20)  # a run each night, and each product once more when its text changes
WITHOUT_PICTURE = 0.05
ON_SALE, OUT_OF_STOCK = 0.15, 0.07

# Median of the price in EUR, and words that its products are named with.
CATEGORIES = {
    "books": (17.0, ("Paperback", "Hardcover", "Atlas", "Cookbook")),
    "electronics": (129.0, ("Headphones", "Keyboard", "Monitor", "Charger")),
    "garden": (34.0, ("Shears", "Planter", "Hose", "Lantern")),
    "kitchen": (29.0, ("Pan", "Kettle", "Knife", "Scale")),
    "sports": (45.0, ("Racket", "Mat", "Bottle", "Helmet")),
    "toys": (22.0, ("Puzzle", "Blocks", "Kite", "Train")),
}
ADJECTIVES = ("Small", "Large", "Blue", "Red", "Folding", "Classic", "Light", "Sturdy")


class Product(NamedTuple):
    code: str
    name: str
    category: str
    price: float
    launched: datetime
    demand: float  # purchases an hour
    stars: float
    offset: timedelta  # when within each interval its row is computed


def products(random: np.random.Generator, now: datetime) -> list[Product]:
    found = []
    for number in range(1, PRODUCTS + 1):
        category = str(random.choice(list(CATEGORIES)))
        median, nouns = CATEGORIES[category]
        name = f"{random.choice(ADJECTIVES)} {random.choice(nouns)} {random.integers(100, 999)}"
        price = round(float(median * random.lognormal(0, 0.5)), 2)
        launched = (now - timedelta(days=int(random.integers(3, 1500)))).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        demand, stars = float(random.lognormal(0, 1.2)), float(1 + 4 * random.beta(8, 2))
        offset = timedelta(seconds=int(random.integers(RECOMPUTED_EVERY.total_seconds())))
        found.append(Product(f"prod-{number:05}", name, category, price, launched, demand, stars, offset))
    return found


def facts(random: np.random.Generator, product: Product, now: datetime) -> Iterator[dict[str, Any]]:
    """The product's rows, newest first: one for each interval."""
    at = now.replace(microsecond=0) - timedelta(minutes=2) - product.offset
    sale = bool(random.random() < ON_SALE)
    reviews = int(random.poisson(20 * product.demand))
    while at > now - HISTORY:
        bought = int(random.poisson(product.demand))
        since = timedelta(seconds=float(random.exponential(3600 / product.demand)))
        yield {
            "event_timestamp": at,
            "created": at + timedelta(seconds=2),
            "product_id": product.code,
            "name": product.name,
            "category": product.category,
            "price": round(product.price * (0.8 if sale else 1), 2),
            "popularity_score": float(1 - np.exp(-(product.demand + bought) / 6)),
            "average_rating": round(product.stars, 1) if reviews else None,
            "review_count": reviews,
            "in_stock": bool(random.random() > OUT_OF_STOCK),
            "on_sale": sale,
            "launched_at": product.launched,
            "last_purchase_at": max(at - since, product.launched).replace(microsecond=0),
        }
        at -= RECOMPUTED_EVERY


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def embeddings(random: np.random.Generator, shop: list[Product], now: datetime) -> Iterator[dict[str, Any]]:
    """One row a product: each lies around the middle of its category."""
    middles = {name: random.normal(size=TEXT_SIZE + IMAGE_SIZE) for name in CATEGORIES}
    for product in shop:
        vector = middles[product.category] + random.normal(0, 0.6, TEXT_SIZE + IMAGE_SIZE)
        at = now.replace(microsecond=0) - timedelta(minutes=2) - EMBEDDED_EVERY * (product.offset / RECOMPUTED_EVERY)
        yield {
            "event_timestamp": at,
            "created": at + timedelta(seconds=5),
            "product_id": product.code,
            "text_embedding": unit(vector[:TEXT_SIZE]),
            "image_embedding": None if random.random() < WITHOUT_PICTURE else unit(vector[TEXT_SIZE:]),
            "model": "shop-encoder-3",
        }


TIMESTAMP = pa.timestamp("us", tz="UTC")
KEYS = {"event_timestamp": TIMESTAMP, "created": TIMESTAMP, "product_id": pa.string()}
FACTS = {
    "name": pa.string(),
    "category": pa.string(),
    "price": pa.float64(),
    "popularity_score": pa.float32(),
    "average_rating": pa.float32(),
    "review_count": pa.int64(),
    "in_stock": pa.bool_(),
    "on_sale": pa.bool_(),
    "launched_at": TIMESTAMP,
    "last_purchase_at": TIMESTAMP,
}
VECTORS = {
    "text_embedding": pa.list_(pa.float32()),
    "image_embedding": pa.list_(pa.float32()),
    "model": pa.string(),
}


def generate(out: Path, seed: int, now: datetime) -> None:
    """Write both files into `out`; no row is of after `now` or written after it."""
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    shop = products(random, now)
    known = [row for product in shop for row in facts(random, product, now)]
    for name, rows, columns in (
        ("products", known, FACTS),
        ("embeddings", list(embeddings(random, shop, now)), VECTORS),
    ):
        lines = sorted(rows, key=lambda row: row["event_timestamp"])
        pq.write_table(pa.Table.from_pylist(lines, pa.schema({**KEYS, **columns})), out / f"{name}.parquet")
        newest = lines[-1]["event_timestamp"]
        print(f"{out / name}.parquet: {len(lines)} rows, the newest of {newest:%Y-%m-%d %H:%M} UTC")  # noqa: T201


def instant(text: str) -> datetime:
    """A point in time from ISO 8601; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Parquet files of the products example.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="folder for the files")
    parser.add_argument("--seed", type=int, default=254, help="another seed, another shop")
    parser.add_argument("--now", type=instant, default=datetime.now(UTC), help="time of the newest rows, ISO 8601")
    arguments = parser.parse_args()
    generate(arguments.out, arguments.seed, arguments.now)
