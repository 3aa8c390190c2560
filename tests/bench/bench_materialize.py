"""`make bench-materialize`: rows from Parquet to Redis, ours against Feast's local engine, both in one run.

1M rows of 8 Float32 into an empty and a full Redis, as a view that takes pushes, 20 features of mixed types, 50 views
of one entity; the share of what a bare socket reaches; memory; growth from 100k to 10M rows. Feast runs with its
defaults and with its best settings (`online_write_batch_size`, `skip_dedup`), and the faster of both counts.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import hiredis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from harness import Result, report
from redis import Redis

from featureplane.local.stores import embedded_stores
from featureplane.materialization.encoding.conforming import conform
from featureplane.materialization.encoding.encoder import ViewEncoder
from featureplane.materialization.rows import View, view_of
from featureplane.materialization.writing.resp import begin, bulk_array, bulks, joined
from featureplane.model.declarations import declare
from featureplane.model.documents import Document
from featureplane.model.types import parse_type
from featureplane.registry import catalogue
from featureplane.registry.database import begin as begin_transaction
from featureplane.registry.database import engine_for, ensure_database
from featureplane.registry.plan import compare
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.settings import Stores, child_environment

MILLION = 1_000_000
BATCH = 5_000
ENTITIES_OF_MANY = 20_000
VIEWS_OF_MANY = 50
MIXED_ROWS = 250_000
END = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)

FLOATS = {f"feature_{index}": "Float32" for index in range(8)}
MIXED = {
    **{f"float_{index}": "Float32" for index in range(6)},
    **{f"double_{index}": "Float64" for index in range(4)},
    **{f"integer_{index}": "Int64" for index in range(4)},
    **{f"text_{index}": "String" for index in range(4)},
    "flag": "Bool",
    "seen": "UnixTimestamp",
}
WORDS = pa.array(["", "a", "crude oil", "wheat of the plains, second harvest", "Gänsefüßchen " * 4])


def column(kind: str, rows: int, chance: np.random.Generator) -> pa.Array:
    """Values of a type; of all but floats a tenth is missing in the mixed view."""
    missing = chance.random(rows) < 0.1
    made: dict[str, Callable[[], Any]] = {
        "Float32": lambda: pa.array(chance.random(rows, dtype=np.float32)),
        "Float64": lambda: pa.array(chance.random(rows), mask=missing),
        "Int64": lambda: pa.array(chance.integers(0, 2**50, rows)),
        "String": lambda: WORDS.take(pa.array(chance.integers(0, len(WORDS), rows), mask=missing)),
        "Bool": lambda: pa.array(chance.random(rows) < 0.5, mask=missing),
        "UnixTimestamp": lambda: pa.array(chance.integers(0, 2**31, rows).astype("datetime64[s]"), mask=missing),
    }
    return made[kind]()


def write(file: Path, features: dict[str, str], rows: int, hour: int = 1) -> None:
    """A row for each driver within one hour of the day, in row groups of a million."""
    chance = np.random.default_rng(hour)
    begins = np.datetime64(END.replace(tzinfo=None) - DAY, "us") + np.timedelta64(hour, "h")
    writer = None
    for first in range(0, rows, MILLION):
        count = min(MILLION, rows - first)
        times = begins + chance.integers(0, 3_600_000_000, count).astype("timedelta64[us]")
        table = pa.table({
            "driver_id": np.arange(first, first + count),
            "event_timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            **{name: column(kind, count, chance) for name, kind in features.items()},
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()


def a_view(name: str, features: dict[str, str], path: str, *, push: bool = False) -> dict[str, Any]:
    return {
        "apiVersion": "featureplane.dev/v1alpha1",
        "kind": "FeatureView",
        "metadata": {"name": name.replace("_", "-")},
        "spec": {
            "name": name,
            "entities": [{"name": "driver", "joinKey": "driver_id", "type": "Int64"}],
            "features": [{"name": each, "type": kind} for each, kind in features.items()],
            "source": {"file": {"path": path}, "timestampField": "event_timestamp"},
            **({"push": {"enabled": True}} if push else {}),
        },
    }


class Bench:
    """A folder of files, the views on them, and the stores."""

    def __init__(self, stores: Stores, folder: Path, times: int, feast_times: int) -> None:
        self.stores = stores
        self.folder = folder
        self.times = {"ours": times, "feast": feast_times, "feast_best": feast_times}
        self.redis = Redis(stores.redis.host, stores.redis.port, password=stores.redis.password or None)
        self.project = {
            "apiVersion": "featureplane.dev/v1alpha1",
            "kind": "FeastProject",
            "metadata": {"name": "feast"},
            "spec": {"project": "feast", "offlineStore": {"type": "file", "dataRoot": {"uri": str(folder)}}},
        }
        (folder / "project.yaml").write_text(yaml.safe_dump(self.project))

    def apply(self) -> None:
        """Register every view that is measured."""
        views = [
            a_view("floats", FLOATS, "floats.parquet"),
            a_view("pushed", FLOATS, "floats.parquet", push=True),
            a_view("mixed", MIXED, "mixed.parquet"),
            *(a_view(name, FLOATS, f"{name}.parquet") for name in many()),
        ]
        found, problems = declare([Document("", item, {}) for item in [self.project, *views]])
        assert not problems, problems[:3]
        self.definitions = define(found[0])
        ensure_database(self.stores.postgres)
        engine = engine_for(self.stores.postgres)
        with Writer(found[0].project, self.stores) as writer:
            writer.open()
            with begin_transaction(engine, self.stores.postgres) as connection:
                plan = compare("feast", self.definitions, catalogue.read(connection, "feast"))
            writer.apply(plan)
        engine.dispose()

    def view(self, name: str) -> View:
        known = {item.key: item for item in self.definitions}
        return view_of("feast", known["feature_view", name], known)

    def once(self, engine: str, *views: str) -> dict[str, float]:
        """Seconds and peak memory of one copy in a process of its own."""
        script = Path(__file__).with_name("copy_once.py")
        bounds = [(END - DAY).isoformat(), END.isoformat()]
        result = subprocess.run(
            [sys.executable, str(script), engine, str(self.folder / "project.yaml"), *bounds, *views],
            env=child_environment(self.stores), check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-2000:]
        found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
        others = f" and {len(views) - 1} more" if views[1:] else ""
        figures = f"{found['seconds']:.1f} s, {found['peak_mb']:.0f} MB, {self.redis.dbsize():,} keys"
        print(f"  ({engine} {views[0]}{others}: {figures})", flush=True)
        return found

    def median(self, engine: str, *views: str, prepare: Callable[[], object]) -> dict[str, float]:
        """Medians of several copies, each after the same preparation."""
        found = []
        for _ in range(self.times[engine]):
            prepare()
            found.append(self.once(engine, *views))
        return {key: median(one[key] for one in found) for key in found[0]}

    def feast(self, *views: str, prepare: Callable[[], object]) -> dict[str, dict[str, float]]:
        return {engine: self.median(engine, *views, prepare=prepare) for engine in ("feast", "feast_best")}


def many() -> list[str]:
    return [f"many_{number:02}" for number in range(VIEWS_OF_MANY)]


def fastest(found: dict[str, dict[str, float]]) -> float:
    return min(one["seconds"] for one in found.values())


def speed(name: str, rows: int, found: dict[str, float]) -> Result:
    return Result(f"{name}_rows_per_s", rows / found["seconds"], "rows/s")


def ratios(bench: Bench) -> Iterator[Result]:
    """1M rows of 8 Float32: empty, full, and as a view that takes pushes."""
    file, newer = bench.folder / "floats.parquet", bench.folder / "newer.parquet"
    older = bench.folder / "older.parquet"
    write(older, FLOATS, MILLION, hour=1)
    write(newer, FLOATS, MILLION, hour=2)

    def empty() -> None:
        bench.redis.flushall()
        _point(file, older)

    def full() -> None:
        """Every row is there already, an hour older than what comes."""
        empty()
        bench.once("ours", "floats")
        _point(file, newer)

    ours_empty = bench.median("ours", "floats", prepare=empty)
    feast_empty = bench.feast("floats", prepare=empty)
    ours_full = bench.median("ours", "floats", prepare=full)
    feast_full = bench.feast("floats", prepare=full)
    ours_push = bench.median("ours", "pushed", prepare=empty)
    yield speed("ours_empty", MILLION, ours_empty)
    yield from (speed(f"{name}_empty", MILLION, found) for name, found in feast_empty.items())
    yield Result("rows_ratio_empty", fastest(feast_empty) / ours_empty["seconds"], "x", "at least 8")
    yield speed("ours_full", MILLION, ours_full)
    yield from (speed(f"{name}_full", MILLION, found) for name, found in feast_full.items())
    yield Result("rows_ratio_full", fastest(feast_full) / ours_full["seconds"], "x", "at least 10")
    yield speed("ours_push", MILLION, ours_push)
    yield Result("rows_ratio_push", fastest(feast_empty) / ours_push["seconds"], "x", "at least 5")
    yield Result("rss_1m_mb", ours_empty["peak_mb"], "MB", "at most 600")
    yield from (Result(f"rss_1m_{name}_mb", found["peak_mb"], "MB") for name, found in feast_empty.items())
    empty()
    raw = median(raw_seconds(bench, empty) for _ in range(bench.times["ours"]))
    yield Result("raw_rows_per_s", MILLION / raw, "rows/s")
    yield Result("raw_share", raw / ours_empty["seconds"], "", "at least 0.6")


def _point(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def raw_seconds(bench: Bench, prepare: Callable[[], object]) -> float:
    """The same commands, encoded beforehand, the stored event times read first, over a bare socket."""
    prepare()
    view = bench.view("floats")
    encoder = ViewEncoder(view)
    requests = []
    for batch in pq.ParquetFile(bench.folder / "older.parquet").iter_batches(BATCH):
        columns = {
            name: conform(batch.column(name), parse_type(kind)).column for name, kind in (*view.keys, *view.features)
        }
        encoded = encoder.whole(columns, batch.column("event_timestamp").cast(pa.int64()).to_numpy())
        keys, (part,) = bulk_array(encoded.keys), encoded.parts
        reads = joined(begin(b"HGET", more=2), keys, bulks(part.time_field))
        writes = joined(begin(b"HSET", more=1 + part.arguments), keys, part.body)
        requests.append((len(batch), *(b"".join(each.to_pylist()) for each in (reads, writes))))
    address = bench.stores.redis
    with socket.create_connection((address.host, address.port)) as link:
        reader = hiredis.Reader()

        def answers(left: int) -> None:
            while left:
                if reader.gets() is False:
                    reader.feed(link.recv(1 << 20))
                else:
                    left -= 1

        link.sendall(begin(b"AUTH", more=1) + bulks(address.password.encode()))
        answers(1)
        begun = time.perf_counter()
        link.sendall(requests[0][1])
        for (rows, _, writes), (_, reads, _) in pairwise([*requests, (0, b"", b"")]):
            link.sendall(writes + reads)
            answers(2 * rows)
        return time.perf_counter() - begun


def mixed(bench: Bench) -> Iterator[Result]:
    """20 features of mixed types with texts and nulls. Feast needs too much memory for a million of them."""
    write(bench.folder / "mixed.parquet", MIXED, MIXED_ROWS)
    ours = bench.median("ours", "mixed", prepare=bench.redis.flushall)
    feast = bench.feast("mixed", prepare=bench.redis.flushall)
    yield speed("ours_mixed", MIXED_ROWS, ours)
    yield from (speed(f"{name}_mixed", MIXED_ROWS, found) for name, found in feast.items())
    yield Result("rows_ratio_mixed", fastest(feast) / ours["seconds"], "x", "at least 8")


def many_views(bench: Bench) -> Iterator[Result]:
    """50 views of 20,000 rows of one entity."""
    for number, name in enumerate(many()):
        write(bench.folder / f"{name}.parquet", FLOATS, ENTITIES_OF_MANY, hour=1 + number % 20)
    ours = bench.median("ours", *many(), prepare=bench.redis.flushall)
    feast = bench.feast(*many(), prepare=bench.redis.flushall)
    rows = VIEWS_OF_MANY * ENTITIES_OF_MANY
    yield speed("ours_many_views", rows, ours)
    yield from (speed(f"{name}_many_views", rows, found) for name, found in feast.items())
    yield Result("many_views_ratio", fastest(feast) / ours["seconds"], "x", "at least 10")


def growth(bench: Bench) -> Iterator[Result]:
    """From 100,000 to 10M rows: seconds a million, and memory."""
    source, link = bench.folder / "growing.parquet", bench.folder / "floats.parquet"
    for name, rows in (("100k", MILLION // 10), ("1m", MILLION), ("10m", 10 * MILLION)):
        write(source, FLOATS, rows)
        _point(link, source)
        bench.redis.flushall()
        found = bench.once("ours", "floats")
        yield Result(f"seconds_per_million_{name}", found["seconds"] / rows * MILLION, "s")
        yield Result(f"rss_{name}_growth_mb" if name != "10m" else "rss_10m_mb", found["peak_mb"], "MB",
                     "at most 600" if name == "10m" else "")  # fmt: skip


PARTS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "ratios": ratios, "mixed": mixed, "many_views": many_views, "growth": growth,
}  # fmt: skip


@contextmanager
def scene(times: int, feast_times: int) -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_stores(None, search_path=os.environ["PATH"]) as stores,
    ):
        named = Stores(stores.postgres.with_database("feast"), stores.redis)
        bench = Bench(named, Path(folder), times, feast_times)
        bench.apply()
        yield bench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="copies of ours, of which the median counts")
    parser.add_argument("--feast-times", type=int, default=3, help="the same of Feast's, which take minutes each")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all unless given")
    arguments = parser.parse_args()
    results: list[Result] = []
    with scene(arguments.times, arguments.feast_times) as bench:
        for name in arguments.parts or PARTS:
            for result in PARTS[name](bench):
                results.append(result)
                print(f"  {result.name} {result.value:.3f} {result.unit}", flush=True)
    report("materialize", results)


if __name__ == "__main__":
    main()
