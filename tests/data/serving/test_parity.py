"""Parity on a Redis Cluster: what is looked for and read there is on all of its servers."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from redis.cluster import RedisCluster

from cli.commands import Place
from cli.examples import named_stores
from data.writing.redis_processes import HOST, PASSWORD, RedisProcess
from data.writing.test_cluster import joined
from factories import a_feature_view, to_yaml
from featureplane.online.layout import field
from featureplane.settings import RedisAddress

# Each command takes its time on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)

# Enough that some of each kind are on every server.
COUNT, GONE = 200, 30
VIEW = "commodity_prices"
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisProcess]]:
    with joined(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="module")
def copied(nodes: list[RedisProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("place"))
    place.state.mkdir()
    (place.folder / "data").mkdir()
    write(place.folder, range(COUNT))
    place.write("view.yaml", to_yaml(a_feature_view()))
    with named_stores(place) as stores:
        place.variables |= replace(
            stores, redis=RedisAddress(HOST, nodes[0].port, password=PASSWORD, mode="Cluster")
        ).environment()
        for command in ("apply", "materialize"):
            ran = place(command, "view.yaml")
            assert ran.status == 0, ran
        yield place


def write(folder: Path, numbers: range) -> None:
    rows = [{"commodity": f"c{number}", "event_timestamp": AT, "price": number / 4} for number in numbers]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "data" / "new.parquet")
    (folder / "data" / "new.parquet").replace(folder / "data" / "prices.parquet")


def look(place: Place) -> dict[str, Any]:
    ran = place("parity", "view.yaml", "--json", "--differences", "1000")
    assert ran.status == 0, ran
    (found,) = json.loads(ran.out)["views"]
    return dict(found)


def test_rows_of_every_server_are_compared(copied: Place, nodes: list[RedisProcess]) -> None:
    found = look(copied)
    assert (found["rate"], found["compared"]) == (1.0, COUNT)
    for one in nodes:
        with one.client() as client:
            assert client.dbsize() > 0


def test_what_is_wrong_on_any_server_is_found(copied: Place, nodes: list[RedisProcess]) -> None:
    lost, changed = {"c100", "c101", "c102", "c103"}, {"c110", "c111", "c112", "c113"}
    with RedisCluster(host=HOST, port=nodes[0].port, password=PASSWORD) as client:
        by_name = {name: key for key in client.scan_iter() for name in lost | changed if f"{name}feast".encode() in key}
        for name in lost:
            client.delete(by_name[name])
        for name in changed:
            client.hset(by_name[name], field(VIEW, "price"), b"\x29" + struct.pack("<d", -1.0))
    write(copied.folder, range(GONE, COUNT))
    found = look(copied)
    by_kind: dict[str, set[str]] = {}
    for each in found["differences"]:
        by_kind.setdefault(each["kind"], set()).add(each["entity"]["commodity"])
    assert by_kind == {
        "missing": lost, "different": changed, "extra": {f"c{number}" for number in range(GONE)},
    }  # fmt: skip
    assert found["equal"] == COUNT - GONE - len(lost) - len(changed)
