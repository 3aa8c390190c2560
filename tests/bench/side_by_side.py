"""The same entities of a served example, read one after the other in several ways."""

import http.client
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any
from urllib.parse import urlsplit

import example
import pyarrow.parquet as pq
from example_source import features_of
from harness import Result
from redis import Redis

from featureplane.online.layout import field, time_field
from featureplane.registry.protos import Value
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import render
from featureplane.serving.reading.entity_keys import KeyMaker

READS = 1_000
# Asks for one entity by its key.
Read = Callable[[Any], Any]


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


def from_redis(up: example.Served, part: example.Part) -> tuple[Read, Redis]:
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


def through_the_server(up: example.Served, part: example.Part) -> Read:
    """One connection that is kept, and JSON: what any client has."""
    place = urlsplit(up.url)
    link = http.client.HTTPConnection(str(place.hostname), place.port)
    (name,) = part.entities

    def read(key: str) -> Any:
        body = json.dumps({"feature_service": part.service, "entities": {name: [key]}})
        link.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
        return json.loads(link.getresponse().read())

    return read


def through_feasts_sdk(up: example.Served, part: example.Part, folder: Path) -> Read:
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


def milliseconds(read: Read, keys: Sequence[Any]) -> list[float]:
    read(keys[0])
    found = []
    for key in keys:
        start = time.perf_counter()
        read(key)
        found.append((time.perf_counter() - start) * 1e3)
    return sorted(found)


def in_turns(
    part: example.Part, up: example.Served, ways: Mapping[str, tuple[Read, str]], times: int
) -> Iterator[Result]:
    """The same entities in every way, in turns; the first turn warms up, and does not count.

    Beside a way stands what was published of its mean.
    """
    _, keys = keys_of(part, up)
    asked = random.Random(2).choices(keys, k=READS)
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(times + 1):
        for way, (read, _said) in ways.items():
            found[way].append(milliseconds(read, asked))
    for way, (_, said) in ways.items():
        label, turns = f"{part.folder}_{way}", found[way][1:]
        yield Result(f"{label}_p50_ms", median(median(turn) for turn in turns), "ms")
        yield Result(f"{label}_mean_ms", median(fmean(turn) for turn in turns), "ms", said)
        yield Result(f"{label}_p99_ms", median(turn[len(turn) * 99 // 100] for turn in turns), "ms")
