"""`make bench-serve_writes`: rows pushed over HTTP, ours against Feast's own server, both in one run.

One worker each, on the same stores; eight features of a product with checks on two of them. Rows have one event time,
so that ours are all written. How many feature values a second is rows times eight.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from bench_serve import Bench, middle
from harness import Result, report
from load import Measured, over_http

from featureplane.local.stores import embedded_stores
from featureplane.serving.app import serving
from featureplane.settings import Stores

PRODUCTS = 20_000
BODIES = 2_000
BATCH = 1_000
READY_SECONDS = 120
# The third system of the requirements asks for 1,000 feature writes a second, and this for twenty times that.
TARGET = "at least 20000"
FEATURES = {
    "name": "String", "category": "String", "price": "Float64", "popularity": "Float32", "rating": "Float32",
    "stock": "Int64", "on_sale": "Bool", "changed": "UnixTimestamp",
}  # fmt: skip
CATEGORIES = ["book", "toy", "tool"]
CHECKS: dict[str, dict[str, Any]] = {"price": {"minimum": 0, "notNull": True}, "category": {"in": CATEGORIES}}
VIEW = {
    "apiVersion": "featureplane.dev/v1alpha1",
    "kind": "FeatureView",
    "metadata": {"name": "products"},
    "spec": {
        "entities": [{"name": "product", "joinKey": "product_id", "type": "Int64"}],
        "features": [
            {"name": name, "type": kind, **({"checks": CHECKS[name]} if name in CHECKS else {})}
            for name, kind in FEATURES.items()
        ],
        "ttl": "1h",
        "source": {"file": {"path": "nothing.parquet"}, "timestampField": "event_timestamp"},
        "push": {"enabled": True},
    },
}


def bodies(rows: int) -> list[dict[str, Any]]:
    """Pushes of so many rows each."""
    chance = random.Random(rows)
    now = datetime.now(UTC).isoformat()
    return [push(chance, rows, now) for _ in range(max(BODIES // rows, 20))]


def push(chance: random.Random, rows: int, now: str) -> dict[str, Any]:
    def column(make: Any) -> list[Any]:
        return [make() for _ in range(rows)]

    df = {
        "product_id": chance.sample(range(PRODUCTS), rows),
        "name": column(lambda: f"product {chance.randrange(PRODUCTS)}"),
        "category": column(lambda: chance.choice(CATEGORIES)),
        "price": column(lambda: round(chance.uniform(1, 100), 2)),
        "popularity": column(chance.random),
        "rating": column(lambda: chance.randrange(10) / 2),
        "stock": column(lambda: chance.randrange(1000)),
        "on_sale": column(lambda: chance.random() < 0.5),
        "changed": column(lambda: 1_769_860_800 + chance.randrange(100_000)),
        "event_timestamp": [now] * rows,
    }
    return {"push_source_name": "products_push", "df": df}


def measured(bench: Bench, name: str, url: str, target: str = "") -> Iterator[Result]:
    for rows, connections in ((1, 1), (1, 8), (1, 64), (BATCH, 4)):
        asked = bodies(rows)
        httpx.post(f"{url}/push", json=asked[0], timeout=READY_SECONDS, trust_env=False).raise_for_status()
        turns = [over_http(url, asked, connections, bench.seconds, "/push") for _ in range(bench.times)]
        found: Measured = middle(turns)
        label = f"{name}_{rows}_row{'s' if rows > 1 else ''}_{connections}_connections"
        wanted = target if connections == 8 or rows > 1 else ""
        yield Result(f"{label}_rows", found.per_second * rows, "rows/s", wanted if rows > 1 else "")
        yield Result(f"{label}_values", found.per_second * rows * len(FEATURES), "val/s", wanted)
        yield Result(f"{label}_p50_ms", found.p50_ms, "ms")
        yield Result(f"{label}_p99_ms", found.p99_ms, "ms")


def results(bench: Bench) -> Iterator[Result]:
    with serving(bench.project, bench.stores, bench.folder, log=sys.stderr) as server:
        server.wait_until_ready(READY_SECONDS)
        yield from measured(bench, "ours", server.url, TARGET)
    arguments = ("serve", "--no-access-log", "--workers", "1", "--max-requests", "0", "--max-requests-jitter", "0")
    with bench.feasts(*arguments, "--registry_ttl_sec", "3600") as address:
        yield from measured(bench, "feast", f"http://{address}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="loads of each kind; medians count")
    parser.add_argument("--seconds", type=int, default=5, help="how long a load lasts")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_stores(None, search_path=os.environ["PATH"]) as stores,
    ):
        named = Stores(stores.postgres.with_database("feast"), stores.redis)
        bench = Bench(named, Path(folder), options.times, options.seconds)
        bench.document["spec"]["server"] = {"writes": {"enabled": True}}
        bench.views.append(VIEW)
        bench.apply()
        report("serve_writes", list(results(bench)))


if __name__ == "__main__":
    main()
