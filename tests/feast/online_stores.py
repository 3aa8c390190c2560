"""Redis in each of its modes, as a user has it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.cluster import RedisCluster

from featureplane.local.redis_server import find_server
from featureplane.settings import RedisAddress, Stores
from patience import until
from ports import free_port

MODES = ("Standalone", "Cluster", "Sentinel")


@contextmanager
def online_store(kind: str, servers: Stores, folder: Path) -> Iterator[tuple[RedisAddress, Any]]:
    """An online store of this mode: its address as a user gives it, and a client of ours."""
    if kind == "Standalone":
        address = replace(servers.redis, db=15)
        client = Redis(address.host, address.port, address.db, password=address.password)
        client.flushdb()
        yield address, client
        client.flushdb()
        return
    port, second = free_port(), free_port()
    if kind == "Cluster":
        with started(folder, port, "--cluster-enabled", "yes") as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            until(lambda: "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")))
            yield RedisAddress("127.0.0.1", port, mode="Cluster"), RedisCluster("127.0.0.1", port)
        return
    config = folder / "sentinel.conf"
    config.write_text(f"port {second}\nsentinel monitor group 127.0.0.1 {port} 1\n")
    with started(folder, port) as client, started(folder, second, str(config), "--sentinel"):
        yield RedisAddress("127.0.0.1", second, mode="Sentinel", sentinel_master="group"), client


@contextmanager
def started(folder: Path, port: int, *options: str) -> Iterator[Redis]:
    if "--sentinel" not in options:
        options = ("--port", str(port), "--save", "", *options)
    process = subprocess.Popen(
        [find_server(os.environ["PATH"]), *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = Redis("127.0.0.1", port)
    try:
        until(client.ping, passing=RedisError)
        yield client
    finally:
        client.close()
        process.kill()
        process.wait()
