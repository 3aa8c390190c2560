"""A Redis Cluster of three servers, slots that move, and a Sentinel group that fails over."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from redis.cluster import RedisCluster

from data.writing.batches import T0, batch, hash_of, joint_batch, key_of, rows_of
from data.writing.pushes import key_of as pushed_key
from data.writing.pushes import push
from data.writing.redis_processes import HOST, PASSWORD, RedisProcess, fields_expire
from featureplane.errors import ServerReplaced
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.slots import SLOTS, slots_of
from featureplane.materialization.writing.writer import open_writer
from featureplane.online.expiry import Expiry
from featureplane.online.layout import time_field
from featureplane.serving.writing.writer import Outcome
from featureplane.settings import RedisAddress
from patience import PATIENCE, until

MODES = {"newest": {}, "atomic": {"atomic": True}, "overwrite": {"overwrite": True}}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
LIMITS = Limits(rows=500, pieces=3, patience=PATIENCE, timeout=5)
NODES = 3


def node(folder, name: str) -> RedisProcess:
    # No node is taken for lost that has no processor for a while.
    settings = {"cluster-enabled": "yes", "cluster-node-timeout": "15000", "masterauth": f'"{PASSWORD_QUOTED}"'}
    return RedisProcess(folder / name, settings).start()


PASSWORD_QUOTED = "".join(f"\\x{byte:02x}" for byte in PASSWORD.encode())


def join(nodes: list[RedisProcess]) -> None:
    """Meet, share out the slots, and wait until all agree."""
    clients = [one.client() for one in nodes]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER MEET", HOST, nodes[0].port)
        slots = range(SLOTS * number // len(nodes), SLOTS * (number + 1) // len(nodes))
        client.execute_command("CLUSTER ADDSLOTS", *slots)
    until(lambda: all(is_ready(client, len(nodes)) for client in clients))
    for client in clients:
        client.close()


def is_ready(client, count: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    text = info if isinstance(info, dict) else dict(line.split(":") for line in info.decode().split())
    return text["cluster_state"] == "ok" and int(text["cluster_known_nodes"]) == count


@contextmanager
def joined(folder: Path) -> Iterator[list[RedisProcess]]:
    """The servers of a cluster, below `folder`."""
    made = [node(folder, str(number)) for number in range(NODES)]
    try:
        join(made)
        yield made
    finally:
        for one in made:
            one.kill()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[list[RedisProcess]]:
    with joined(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def cluster(nodes) -> Iterator[RedisCluster]:
    with RedisCluster(host=HOST, port=nodes[0].port, password=PASSWORD) as client:
        client.flushall()
        yield client


@pytest.fixture
def address(nodes) -> RedisAddress:
    return RedisAddress(HOST, nodes[0].port, password=PASSWORD, mode="Cluster")


def test_slots_are_those_of_the_server(cluster):
    keys = [b"foo", b"{user}.x", b"a{}b", b"a{b", b"}{x}y", b"\x00{\xff}", *(key_of(entity) for entity in range(50))]
    assert slots_of(pa.array(keys, pa.binary())).tolist() == [cluster.keyslot(key) for key in keys]


@every_mode
def test_rows_go_where_they_belong(cluster, address, nodes, mode):
    parts = {"x": [(T0, {"a": 1})] * 900, "y": [(T0, {"b": 2}) if entity % 2 else None for entity in range(900)]}
    with open_writer(address, limits=LIMITS, **mode) as writer:
        writer.write(joint_batch(range(900), parts))
        writer.write(batch("x", rows_of(900, T0 - 1)))
    assert cluster.hgetall(key_of(7))[time_field("y")]
    counts = [one.client().dbsize() for one in nodes]
    assert sum(counts) == 900
    assert min(counts) > 200
    assert writer.written[time_field("y")] == 450
    if "overwrite" not in mode:
        assert writer.skipped[time_field("x")] == 900


def test_pushed_rows_go_where_they_belong(cluster, address, nodes):
    assert push(address, range(900), 1_769_860_800) == Outcome(written=900)
    assert min(one.client().dbsize() for one in nodes) > 200
    nodes[1].client().script_flush()
    assert push(address, range(1000), 1_769_860_799) == Outcome(written=100, older=900)
    assert len(cluster.hgetall(pushed_key(7))) == 2


@every_mode
def test_keys_expire_in_a_cluster(cluster, address, mode):
    now = time.time_ns() // 1000
    with open_writer(address, expiry=Expiry(all_views_expire=True), **mode) as writer:
        writer.write(batch("x", rows_of(300, now), 3_600_000))
    fields = cluster.hgetall(key_of(5))
    assert fields == hash_of("x", now, {"a": 1.0, "b": 5 / 8})
    if not fields_expire(cluster.get_redis_connection(cluster.get_node_from_key(key_of(5)))):
        assert 3_000_000 < cluster.pttl(key_of(5)) <= 3_600_000


@every_mode
def test_slots_move_while_rows_are_written(cluster, address, nodes, mode):
    failures: list[BaseException] = []
    moved: list[int] = []
    stop = threading.Event()

    def reshard() -> None:
        try:
            for slot in dict.fromkeys(
                slots_of(pa.array([key_of(entity) for entity in range(40)], pa.binary())).tolist()
            ):
                if stop.is_set():
                    return
                move(nodes, slot, pause=0.03)
                moved.append(slot)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    thread = threading.Thread(target=reshard)
    with open_writer(address, limits=LIMITS, **mode) as writer:
        thread.start()
        begun = time.monotonic()
        for round_ in itertools.count(1):
            writer.write(batch("x", rows_of(1000, T0 + round_, float(round_))))
            has_lasted = time.monotonic() - begun > (4 if len(moved) > 5 else PATIENCE)
            if has_lasted or not thread.is_alive():
                break
        writer.flush()
        stop.set()
        thread.join()
    assert not failures
    assert len(moved) > 5
    with RedisCluster(host=HOST, port=nodes[0].port, password=PASSWORD) as fresh:
        for entity in range(1000):
            assert fresh.hgetall(key_of(entity)) == hash_of("x", T0 + round_, {"a": float(round_), "b": entity / 8})


def move(nodes: list[RedisProcess], slot: int, pause: float) -> None:
    """Move a slot to the next node, as redis-cli does."""
    clients = [one.client() for one in nodes]
    names = [client.execute_command("CLUSTER MYID").decode() for client in clients]
    source = next(n for n, client in enumerate(clients) if owns(client, slot))
    target = (source + 1) % len(nodes)
    clients[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[source])
    clients[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[target])
    time.sleep(pause)
    while keys := clients[source].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
        clients[source].execute_command(
            "MIGRATE", HOST, nodes[target].port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys
        )
        time.sleep(pause)
    for number in (target, source, *set(range(len(nodes))) - {target, source}):
        clients[number].execute_command("CLUSTER SETSLOT", slot, "NODE", names[target])
    for client in clients:
        client.close()


def owns(client, slot: int) -> bool:
    text = client.execute_command("CLUSTER NODES")
    lines = text.decode().splitlines() if isinstance(text, bytes) else None
    if lines is None:
        me = next(value for value in text.values() if "myself" in value["flags"])
        ranges = [[int(bound) for bound in pair] for pair in me["slots"] if not str(pair[0]).startswith("[")]
    else:
        me = next(line for line in lines if "myself" in line)
        ranges = [[int(bound) for bound in part.split("-")] for part in me.split()[8:] if not part.startswith("[")]
    return any(pair[0] <= slot <= pair[-1] for pair in ranges)


def test_a_node_that_crashed_is_another_server(cluster, address, nodes):
    with pytest.raises(ServerReplaced), open_writer(address, limits=LIMITS) as writer:  # noqa: PT012 - it breaks somewhere
        writer.write(batch("x", rows_of(1000)))
        writer.flush()
        nodes[1].kill()
        nodes[1].start()
        for number in range(100):
            writer.write(batch("x", rows_of(1000, T0 + number)))
        writer.flush()


def test_one_node_alone_is_said_to_be_a_cluster(cluster, nodes):
    alone = RedisAddress(HOST, nodes[0].port, password=PASSWORD)
    with pytest.raises(Exception, match="Redis Cluster; say so in its address"), open_writer(alone) as writer:
        writer.write(batch("x", rows_of(100)))
