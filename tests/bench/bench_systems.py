"""`make bench-systems`: what users of the five systems were promised, beside what the examples reach on this machine.

Each example is generated, registered, copied and served by one worker, as `make example` does, and asked by wrk for its
own entities. Products are written as well, one by one and in batches; fraud is read in three ways side by side. Medians
of several loads count. Where a system publishes a figure it stands beside the measured one.
"""

import argparse
import http.client
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from bench_serve import middle
from harness import Result, report
from load import over_http
from redis import Redis

from featureplane.online.layout import field, time_field
from featureplane.registry.protos import Value
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import render
from featureplane.serving.reading.entity_keys import KeyMaker

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import example
from example_source import features_of

BODIES = 500
WRITTEN_BODIES = 200
BATCH = 500
READS = 1_000


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


def keys_of(part: example.Part, up: example.Served) -> tuple[str, list[Any]]:
    """The join key that the part is asked by, and the entities that its source saw last."""
    (name,) = part.entities
    view = next(item for item in up.workspace.declarations.views if item.spec.entities[0].key == name)
    source, (entity,) = view.spec.source, view.spec.entities
    assert source.file
    assert up.workspace.local_root
    table = pq.read_table(up.workspace.local_root / source.file.path, columns=[entity.key, source.timestamp_field])
    latest = table.sort_by([(source.timestamp_field, "descending")])[entity.key].unique().to_pylist()
    return name, latest[:2_000]


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


def directly(up: example.Served, part: example.Part) -> tuple[Callable[[Any], Any], Redis]:
    """Reads the service's fields of one entity from Redis with redis-py and parses them, and nothing else."""
    (name,) = part.entities
    references = features_of(up.workspace.declarations, part.service)
    fields = [*(field(*reference) for reference in references), time_field(references[0][0])]
    maker = KeyMaker([(name, "String")], up.workspace.feast_project)
    address = up.stores.redis
    redis = Redis(address.host, address.port, password=address.password or None)

    def read(key: str) -> list[Any]:
        found = redis.hmget(maker.keys([[key]])[0], fields)
        return [Value.FromString(each) for each in found[:-1]]

    return read, redis


def through_the_server(up: example.Served, part: example.Part) -> Callable[[Any], Any]:
    """One connection that is kept, and JSON: what any client has."""
    place = urlsplit(up.url)
    link = http.client.HTTPConnection(str(place.hostname), place.port)
    (name,) = part.entities

    def read(key: str) -> Any:
        body = json.dumps({"feature_service": part.service, "entities": {name: [key]}})
        link.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
        return json.loads(link.getresponse().read())

    return read


def through_feasts_sdk(up: example.Served, part: example.Part, folder: Path) -> Callable[[Any], Any]:
    """Feast's own store in this process, which reads Redis itself."""
    from feast import FeatureStore

    os.environ.update(up.stores.environment())
    folder.mkdir(exist_ok=True)
    declared = up.workspace.declarations
    for file, text in render(declared.project, define(declared)).items():
        (folder / file).write_text(text, encoding="utf-8")
    store = FeatureStore(repo_path=str(folder))
    service = store.get_feature_service(part.service)
    (name,) = part.entities
    return lambda key: store.get_online_features(service, [{name: key}]).to_dict()


def milliseconds(read: Callable[[Any], Any], keys: Sequence[Any]) -> list[float]:
    read(keys[0])
    found = []
    for key in keys:
        start = time.perf_counter()
        read(key)
        found.append((time.perf_counter() - start) * 1e3)
    return sorted(found)


def side_by_side(bench: Bench, up: example.Served, part: example.Part, folder: Path) -> Iterator[Result]:
    """The same transactions, one after the other, in three ways, in turns."""
    _, keys = keys_of(part, up)
    asked = random.Random(2).choices(keys, k=READS)
    direct, redis = directly(up, part)
    ways = {
        "redis_directly": (direct, "they publish 2.5"),
        "server": (through_the_server(up, part), "they publish 2.8"),
        "feasts_sdk": (through_feasts_sdk(up, part, folder), ""),
    }
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    with redis:
        for _ in range(bench.times):
            for way, (read, _said) in ways.items():
                found[way].append(milliseconds(read, asked))
    for way, (_, said) in ways.items():
        yield Result(f"fraud_{way}_mean_ms", median(fmean(turn) for turn in found[way]), "ms", said)
        yield Result(f"fraud_{way}_p99_ms", median(turn[len(turn) * 99 // 100] for turn in found[way]), "ms")


def in_redis(bench: Bench, up: example.Served, part: example.Part) -> Iterator[Result]:
    """What one product takes in Redis itself, with the way there and back."""
    _, keys = keys_of(part, up)
    read, redis = directly(up, part)
    asked = random.Random(3).choices(keys, k=READS)
    with redis:
        turns = [median(milliseconds(read, asked)) for _ in range(bench.times)]
    yield Result("products_redis_p50_ms", median(turns), "ms", "under 1")


def results(bench: Bench, root: Path) -> Iterator[Result]:
    with ExitStack() as stack:
        stores = stack.enter_context(example.stores_up())
        for name in example.NAMES:
            example.generate(name, root / name)
        for part in example.PARTS:
            with example.served(part, stores, root / part.example, 0) as up:
                yield from reads(bench, part, up)
                if part.folder == "products":
                    yield from writes(bench, up)
                    yield from in_redis(bench, up, part)
                if part.folder == "fraud":
                    yield from side_by_side(bench, up, part, root / "repo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="loads of each kind; medians count")
    parser.add_argument("--seconds", type=int, default=3, help="how long a load lasts")
    options = parser.parse_args()
    example.out.quiet = True
    with tempfile.TemporaryDirectory() as folder:
        report("systems", list(results(Bench(options.times, options.seconds), Path(folder))))


if __name__ == "__main__":
    main()
