"""`make bench-systems`: what users of the five systems were promised, beside what the examples reach on this machine.

Each example is generated, registered, copied and served by one worker, as `make example` does, and asked by wrk for its
own entities. Products are written as well, one by one and in batches; fraud is read in three ways side by side, on
Redis and, where Java and the driver are here, on Cassandra. Medians of several loads count. Where a system publishes a
figure it stands beside the measured one.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench_serve import middle
from harness import Result, report
from load import over_http

from featureplane.settings import Stores

sys.path += [str(Path(__file__).parents[2] / "tools"), str(Path(__file__).parents[1])]

import example
import fraud_on_cassandra
from side_by_side import (
    READS,
    from_redis,
    in_turns,
    keys_of,
    milliseconds,
    through_feasts_sdk,
    through_the_server,
)

BODIES = 500
WRITTEN_BODIES = 200
BATCH = 500


@dataclass(frozen=True)
class Load:
    """So many entities a request of a service, and what was promised of its p50 and p99 in milliseconds."""

    service: str
    entities: int
    p50: str = ""
    p99: str = ""


LOADS = {
    "commodity": [Load("price_forecast_v1", 1, p99="under 10")],
    "timetable": [Load("timetable_import_v1", 1), Load("document_search_v1", 100)],
    "products": [
        Load("recommendations_v1", 1, p50="under 5"),
        Load("recommendations_v1", 100, p50="under 50"),
        Load("similar_products_v1", 1),
        Load("similar_products_v1", 100),
    ],
    "model-platform/model-a": [Load("churn_v1", 1), Load("churn_v1", 100)],
    "model-platform/model-b": [Load("default_risk_v1", 1), Load("default_risk_v1", 100)],
    "fraud": [Load("fraud_detection_v1", 1, p99="under 5"), Load("fraud_detection_v1", 100)],
}
PRODUCT = {
    "name": "Blue Kettle 7", "category": "kitchen", "price": 24.5, "popularity_score": 0.5, "average_rating": 4.5,
    "review_count": 12, "in_stock": True, "on_sale": False, "launched_at": "2026-01-31T00:00:00Z",
    "last_purchase_at": "2026-01-31T00:00:00Z",
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    times: int
    seconds: int

    def load(self, url: str, bodies: Sequence[dict[str, Any]], connections: int, path: str) -> Any:
        return middle([over_http(url, bodies, connections, self.seconds, path) for _ in range(self.times)])


def reads(bench: Bench, part: example.Part, up: example.Served) -> Iterator[Result]:
    """One connection that asks on and on: what a request takes, not how many go at once."""
    name, keys = keys_of(part, up)
    for load in LOADS[part.folder]:
        chance = random.Random(load.entities)
        asked = [
            {"feature_service": load.service, "entities": {name: chance.choices(keys, k=load.entities)}}
            for _ in range(BODIES)
        ]
        found = bench.load(up.url, asked, 1, "/get-online-features")
        project = part.folder.rpartition("/")[2].replace("-", "_")
        label = f"{project}_{load.service}_{load.entities}"
        yield Result(f"{label}_p50_ms", found.p50_ms, "ms", load.p50)
        yield Result(f"{label}_p99_ms", found.p99_ms, "ms", load.p99)


def writes(bench: Bench, up: example.Served) -> Iterator[Result]:
    """Feature values a second: rows times the features of the view. Every value is checked."""
    chance = random.Random(1)
    now = datetime.now(UTC).isoformat()
    for label, rows, connections in (("single", 1, 1), ("single_8_connections", 1, 8), ("batch", BATCH, 2)):
        bodies = [
            {
                "feature_view_name": "product_features",
                "df": {
                    "product_id": [f"new-{number}" for number in chance.sample(range(20_000), rows)],
                    "event_timestamp": now,
                    **PRODUCT,
                },
            }
            for _ in range(WRITTEN_BODIES)
        ]
        found = bench.load(up.url, bodies, connections, "/write-to-online-store")
        values = found.per_second * rows * len(PRODUCT)
        yield Result(f"products_write_{label}_values", values, "val/s", "over 1000")
        yield Result(f"products_write_{label}_p50_ms", found.p50_ms, "ms")


def fraud_side_by_side(bench: Bench, up: example.Served, part: example.Part, folder: Path) -> Iterator[Result]:
    direct, redis = from_redis(up, part)
    ways = {
        "redis_directly": (direct, "they publish 2.5"),
        "server": (through_the_server(up, part), "they publish 2.8"),
        "feasts_sdk": (through_feasts_sdk(up, part, folder), ""),
    }
    with redis:
        yield from in_turns(part, up, ways, bench.times)


def on_cassandra(bench: Bench, stores: Stores, part: example.Part, root: Path) -> Iterator[Result]:
    if why := fraud_on_cassandra.why_left_out():
        print(f"fraud on Cassandra is left out: {why}")
        return
    yield from fraud_on_cassandra.results(part, stores, root, bench.times)


def in_redis(bench: Bench, up: example.Served, part: example.Part) -> Iterator[Result]:
    """What one product takes in Redis itself, with the way there and back."""
    _, keys = keys_of(part, up)
    read, redis = from_redis(up, part)
    asked = random.Random(3).choices(keys, k=READS)
    with redis:
        turns = [median(milliseconds(read, asked)) for _ in range(bench.times)]
    yield Result("products_redis_p50_ms", median(turns), "ms", "under 1")


def results(bench: Bench, root: Path, systems: Collection[str]) -> Iterator[Result]:
    with ExitStack() as stack:
        stores = stack.enter_context(example.stores_up())
        for name in systems:
            example.generate(name, root / name)
        for part in example.PARTS:
            if part.example not in systems:
                continue
            with example.served(part, stores, root / part.example, 0) as up:
                yield from reads(bench, part, up)
                if part.folder == "products":
                    yield from writes(bench, up)
                    yield from in_redis(bench, up, part)
                if part.folder == "fraud":
                    yield from fraud_side_by_side(bench, up, part, root / "repo")
            if part.folder == "fraud":
                yield from on_cassandra(bench, stores, part, root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="loads of each kind; medians count")
    parser.add_argument("--seconds", type=int, default=3, help="how long a load lasts")
    parser.add_argument("--systems", nargs="+", choices=example.NAMES, default=example.NAMES, help="all of them, else")
    options = parser.parse_args()
    example.out.quiet = True
    with tempfile.TemporaryDirectory() as folder:
        report("systems", list(results(Bench(options.times, options.seconds), Path(folder), options.systems)))


if __name__ == "__main__":
    main()
