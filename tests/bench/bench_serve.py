"""`make bench-serve`: online features over HTTP and gRPC, ours against Feast's own server, both in one run.

Both have one worker and the same rows in the same Redis; Feast's runs without recycling its worker and without access
log. Loads alternate between the two, and medians count. Also: what a bare client of Redis reaches, the time to the
first answer and the memory of a worker with 1,000 views, and growth with entities, features, connections and views.
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import hiredis
import httpx
import psutil
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from harness import Result, report
from load import Measured, over_grpc, over_http
from redis import Redis

from featureplane.local.stores import embedded_stores
from featureplane.model.declarations import declare
from featureplane.model.documents import Document
from featureplane.online.layout import field, time_field
from featureplane.registry import catalogue
from featureplane.registry.database import begin as begin_transaction
from featureplane.registry.database import engine_for, ensure_database
from featureplane.registry.plan import compare
from featureplane.registry.protos import Value
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import feature_store
from featureplane.serving.app import Server, serving
from featureplane.serving.listening import Where
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.settings import Stores, child_environment

DRIVERS = 10_000
BODIES = 2_000
# 8 features in one view, 50 in five.
FEATURES = {"floats": 8, **{f"wide_{number}": 10 for number in range(5)}}
FLOATS = [f"floats:feature_{index}" for index in range(8)]
WIDE = [f"wide_{number}:feature_{number}{index}" for number in range(5) for index in range(10)]
READY_SECONDS = 120
Ask = Callable[[str], Measured]


def names_of(view: str) -> list[str]:
    number = view.removeprefix("wide_") if view.startswith("wide_") else ""
    return [f"feature_{number}{index}" for index in range(FEATURES.get(view, 8))]


def a_view(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "featureplane.dev/v1alpha1",
        "kind": "FeatureView",
        "metadata": {"name": name.replace("_", "-")},
        "spec": {
            "name": name,
            "entities": [{"name": "driver", "joinKey": "driver_id", "type": "Int64"}],
            "features": [{"name": each, "type": "Float32"} for each in names_of(name)],
            "source": {"file": {"path": "nothing.parquet"}, "timestampField": "event_timestamp"},
        },
    }


class Bench:
    """A project, its stores with rows in them, and one server of ours and of Feast's."""

    def __init__(self, stores: Stores, folder: Path, times: int, seconds: int) -> None:
        self.stores = stores
        self.folder = folder
        self.times = times
        self.seconds = seconds
        self.redis = Redis(stores.redis.host, stores.redis.port, password=stores.redis.password or None)
        self.document = {
            "apiVersion": "featureplane.dev/v1alpha1",
            "kind": "FeastProject",
            "metadata": {"name": "feast"},
            "spec": {"project": "feast", "offlineStore": {"type": "file", "dataRoot": {"uri": str(folder)}}},
        }
        self.views: list[dict[str, Any]] = []

    def apply(self, *names: str) -> None:
        """Register more views."""
        self.views += [a_view(name) for name in names]
        found, problems = declare([Document("", item, {}) for item in [self.document, *self.views]])
        assert not problems, problems[:3]
        self.project = found[0].project
        ensure_database(self.stores.postgres)
        engine = engine_for(self.stores.postgres)
        with Writer(self.project, self.stores) as writer:
            writer.open()
            with begin_transaction(engine, self.stores.postgres) as connection:
                plan = compare("feast", define(found[0]), catalogue.read(connection, "feast"))
            writer.apply(plan)
        engine.dispose()

    def fill(self) -> None:
        """A row in every view for each driver, as a run writes them."""
        chance = random.Random(1)
        now = Timestamp(seconds=int(datetime.now(UTC).timestamp())).SerializeToString()
        values = [Value(float_val=chance.random()).SerializeToString() for _ in range(1000)]
        keys = KeyMaker([("driver_id", "Int64")], "feast").keys([range(DRIVERS)])
        fields = [field(view, name) for view in FEATURES for name in names_of(view)]
        times = {time_field(view): now for view in FEATURES}
        pipeline = self.redis.pipeline(transaction=False)
        for number, key in enumerate(keys):
            pipeline.hset(key, mapping=dict(zip(fields, chance.choices(values, k=len(fields)), strict=True)) | times)
            if number % 1000 == 0:
                pipeline.execute()
        pipeline.execute()

    @contextmanager
    def ours(self, workers: int = 1) -> Iterator[Server]:
        self.document["spec"]["server"] = {"workers": workers}
        with serving(self.project, self.stores, self.folder, Where(grpc_port=0), sys.stderr) as server:
            server.wait_until_ready(READY_SECONDS)
            yield server

    @contextmanager
    def feasts(self, *command: str) -> Iterator[str]:
        """`feast COMMAND` on the same stores; yields host:port."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (self.folder / "feature_store.yaml").write_text(yaml.safe_dump(feature_store(self.project)))
        address = f"127.0.0.1:{port}"
        listen = ["--address", address] if command[0] == "listen" else ["--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("feast")), "--chdir", str(self.folder), *command, *listen],
            env=child_environment(self.stores), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield address
        finally:
            process.terminate()
            process.wait()


def wait_for(attempt: Callable[[], object]) -> float:
    """Until it raises nothing; returns how many seconds that took."""
    begun = time.perf_counter()
    while True:
        try:
            attempt()
        except (OSError, httpx.HTTPError):
            if time.perf_counter() - begun > READY_SECONDS:
                raise
            time.sleep(0.02)
        else:
            return time.perf_counter() - begun


def bodies(entities: int, features: Sequence[str]) -> list[dict[str, Any]]:
    chance = random.Random(entities)
    return [
        {"features": list(features), "entities": {"driver_id": chance.sample(range(DRIVERS), entities)}}
        for _ in range(max(BODIES // entities, 50))
    ]


def http(bench: Bench, entities: int, features: Sequence[str], connections: int) -> Ask:
    asked = bodies(entities, features)
    return lambda url: over_http(url, asked, connections, bench.seconds)


def middle(found: Sequence[Measured]) -> Measured:
    return Measured(
        median(one.per_second for one in found),
        median(one.p50_ms for one in found),
        median(one.p99_ms for one in found),
    )


def both(bench: Bench, ours: str, feast: str, ask: Ask) -> tuple[Measured, Measured]:
    """Medians of both, who are asked in turns."""
    turns = [(ask(ours), ask(feast)) for _ in range(bench.times)]
    for mine, its in turns:
        print(f"  (ours {mine}, Feast {its})", flush=True)
    return middle([mine for mine, _ in turns]), middle([its for _, its in turns])


@contextmanager
def on_one_cpu(*urls: str) -> Iterator[None]:
    """Who listens at these addresses, and the load generator, all on one CPU for as long as the block runs.

    Of one connection only one of them has something to do at a time. To wake another CPU takes a virtual machine longer
    than the request, and what else the machine does has the other CPUs.
    """
    ports = {urlsplit(url).port for url in urls}
    listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    pids = {os.getpid(), *(each.pid for each in listening if each.laddr.port in ports and each.pid)}
    threads = [int(thread.name) for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    before = {thread: os.sched_getaffinity(thread) for thread in threads}
    try:
        for thread in threads:
            os.sched_setaffinity(thread, {max(before[thread])})
        yield
    finally:
        for thread, cpus in before.items():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cpus)


def loads(bench: Bench) -> Iterator[Result]:
    """The figures of HTTP."""
    with bench.ours() as server, bench.feasts(
        "serve", "--no-access-log", "--workers", "1", "--max-requests", "0", "--max-requests-jitter", "0",
        "--registry_ttl_sec", "3600",
    ) as address:  # fmt: skip
        ours, feast = server.url, f"http://{address}"
        same_answers(ours, feast)
        for name, entities, features, target in (
            ("1", 1, FLOATS, 8), ("100", 100, FLOATS, 15), ("100x50", 100, WIDE, 15),
        ):  # fmt: skip
            mine, its = both(bench, ours, feast, http(bench, entities, features, 8))
            yield from shown(f"ours_{name}", mine)
            yield from shown(f"feast_{name}", its)
            yield Result(f"rps_ratio_{name}", mine.per_second / its.per_second, "x", f"at least {target}")
            if name == "100":
                bare = median(bare_client(bench) for _ in range(bench.times))
                yield Result("bare_100_rps", bare, "req/s")
                yield Result("raw_share_100", mine.per_second / bare, "", "at least 0.7")
        alone = http(bench, 1, FLOATS, 1)
        with on_one_cpu(ours, feast, f"redis://{bench.stores.redis.host}:{bench.stores.redis.port}"):
            mine, its = both(bench, ours, feast, alone)
        yield Result("p99_1_ms", mine.p99_ms, "ms", "under 5, and a third of Feast's")
        yield Result("p99_1_feast_ms", its.p99_ms, "ms")
        yield Result("p50_1_ms", mine.p50_ms, "ms")
        yield Result("p50_1_feast_ms", its.p50_ms, "ms")
        mine, its = both(bench, ours, feast, alone)
        yield Result("p99_1_any_cpu_ms", mine.p99_ms, "ms")
        yield Result("p99_1_any_cpu_feast_ms", its.p99_ms, "ms")
        mine, its = both(bench, ours, feast, http(bench, 100, FLOATS, 1))
        yield Result("p99_100_ms", mine.p99_ms, "ms", "under 10")
        yield Result("p99_100_feast_ms", its.p99_ms, "ms")


def same_answers(ours: str, feast: str) -> None:
    """Both must say the same before it is measured how fast."""
    body = bodies(3, WIDE)[0]
    said = [
        httpx.post(f"{url}/get-online-features", json=body, timeout=60).raise_for_status().json()
        for url in (ours, feast)
    ]
    first, second = (
        dict(zip(one["metadata"]["feature_names"], (each["values"] for each in one["results"]), strict=True))
        for one in said
    )
    assert first == second, (first, second)


def shown(name: str, found: Measured) -> Iterator[Result]:
    yield Result(f"{name}_rps", found.per_second, "req/s")
    yield Result(f"{name}_p50_ms", found.p50_ms, "ms")
    yield Result(f"{name}_p99_ms", found.p99_ms, "ms")


def bare_client(bench: Bench) -> float:
    """100 HMGET of 9 fields at once on one connection, replies parsed and thrown away: requests per second."""
    fields = [*(field("floats", name) for name in names_of("floats")), time_field("floats")]
    maker = KeyMaker([("driver_id", "Int64")], "feast")
    asked = []
    for body in bodies(100, FLOATS):
        keys = maker.keys([body["entities"]["driver_id"]])
        asked.append(b"".join(hiredis.pack_command((b"HMGET", key, *fields)) for key in keys))
    address = bench.stores.redis
    with socket.create_connection((address.host, address.port)) as link:
        reader = hiredis.Reader()

        def answers(left: int) -> None:
            while left:
                if reader.gets() is False:
                    reader.feed(link.recv(1 << 16))
                else:
                    left -= 1

        link.sendall(hiredis.pack_command((b"AUTH", address.password)))
        answers(1)
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < bench.seconds / 2:
            link.sendall(asked[count % len(asked)])
            answers(100)
            count += 1
        return count / (time.perf_counter() - begun)


def grpc(bench: Bench) -> Iterator[Result]:
    """The same call of Feast's gRPC service on both."""
    asked = [
        {
            "features": {"val": FLOATS},
            "entities": {"driver_id": {"val": [{"int64_val": body["entities"]["driver_id"][0]}]}},
        }
        for body in bodies(1, FLOATS)
    ]

    def ask(address: str) -> Measured:
        return over_grpc(address, "GrpcFeatureServer/GetOnlineFeatures", asked, 8, bench.seconds)

    with bench.ours() as server, bench.feasts("listen", "--registry_ttl_sec", "3600") as feast:
        mine, its = both(bench, server.grpc, feast, ask)
        yield from shown("ours_grpc", mine)
        yield from shown("feast_grpc", its)
        yield Result("grpc_ratio", mine.per_second / its.per_second, "x", "at least 3; aim for 5")


def growth(bench: Bench) -> Iterator[Result]:
    """Ours with more entities, features and connections."""
    with bench.ours() as server:
        for entities in (1, 10, 100, 1000):
            yield from shown(f"entities_{entities}", middle(many(bench, server, entities, FLOATS, 8)))
        for features in (1, 10, 50):
            yield from shown(f"features_{features}", middle(many(bench, server, 10, WIDE[:features], 8)))
        for connections in (1, 8, 64, 512):
            yield from shown(f"connections_{connections}", middle(many(bench, server, 1, FLOATS, connections)))


def many(bench: Bench, server: Server, entities: int, features: Sequence[str], connections: int) -> list[Measured]:
    ask = http(bench, entities, features, connections)
    return [ask(server.url) for _ in range(bench.times)]


def views(bench: Bench) -> Iterator[Result]:
    """Start, memory and speed with 10, 1,000 and 5,000 views in the registry."""
    yield from at_size(bench, 10)
    yield from at_size(bench, 1_000)
    yield from at_size(bench, 5_000)


def at_size(bench: Bench, size: int) -> Iterator[Result]:
    have = len(bench.views)
    bench.apply(*(f"more_{number:05}" for number in range(have, size)))
    body = bodies(1, FLOATS)[0]
    starts, memory, speeds = [], [], []
    for _ in range(bench.times):
        begun = time.perf_counter()
        with bench.ours() as server:
            wait_for(lambda: httpx.post(f"{server.url}/get-online-features", json=body).raise_for_status())
            starts.append(time.perf_counter() - begun)
            speeds.append(http(bench, 1, FLOATS, 8)(server.url))
            memory.append(rss_of_worker())
    yield Result(
        "start_s" if size == 1_000 else f"start_{size}_s", median(starts), "s", "under 3" if size == 1_000 else ""
    )
    yield Result(
        "rss_worker_mb" if size == 1_000 else f"rss_worker_{size}_mb",
        median(memory),
        "MB",
        "under 90" if size == 1_000 else "",
    )
    yield from shown(f"views_{size}", middle(speeds))


def rss_of_worker() -> float:
    children = psutil.Process().children(recursive=True)
    (worker,) = [each for each in children if "worker_process" in " ".join(each.cmdline())]
    return float(worker.memory_info().rss / 1e6)


PARTS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    "loads": loads, "grpc": grpc, "growth": growth, "views": views,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="loads of each kind, of which the median counts")
    parser.add_argument("--seconds", type=int, default=8, help="how long each load takes")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all unless given")
    asked = parser.parse_args()
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_stores(None, search_path=os.environ["PATH"]) as stores,
    ):
        bench = Bench(
            Stores(stores.postgres.with_database("feast"), stores.redis), Path(folder), asked.times, asked.seconds
        )
        bench.apply(*FEATURES)
        bench.fill()
        for part in asked.parts or PARTS:
            results += PARTS[part](bench)
    report("serve", results)


if __name__ == "__main__":
    main()
