"""The fast path on a Redis Cluster whose slots move and whose nodes are lost, under load."""

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.cluster import RedisCluster

from data.writing.redis_processes import HOST, PASSWORD, RedisProcess
from data.writing.test_cluster import PASSWORD_QUOTED, is_ready, join, move
from fast_server import FastServer, fast_server, fill, key_of, values_of
from featureplane.online.slots import SLOTS
from featureplane.settings import RedisAddress
from patience import PATIENCE, SLACK, until

MASTERS = 3
DRIVERS = range(60)
# A promise is a second; the machine may be busy.
PROMISED = 1.0 + SLACK


@pytest.fixture
def nodes(tmp_path) -> Iterator[list[RedisProcess]]:
    """Three masters, and a replica of the first."""
    settings = {
        "cluster-enabled": "yes", "cluster-node-timeout": "5000", "cluster-require-full-coverage": "no",
        "masterauth": f'"{PASSWORD_QUOTED}"', "repl-diskless-sync-delay": "0",
    }  # fmt: skip
    made = [RedisProcess(tmp_path / str(number), settings).start(wait=False) for number in range(MASTERS + 1)]
    try:
        for one in made:
            one.wait()
        join(made[:MASTERS])
        replicate(made[MASTERS], made[0])
        with RedisCluster(host=HOST, port=made[0].port, password=PASSWORD) as client:
            for driver in DRIVERS:
                fill(client, range(driver, driver + 1))
        yield made
    finally:
        for one in made:
            one.kill()


def replicate(replica: RedisProcess, master: RedisProcess) -> None:
    with replica.client() as client, master.client() as other:
        client.execute_command("CLUSTER MEET", HOST, master.port)
        name = other.execute_command("CLUSTER MYID").decode()
        until(lambda: is_ready(client, MASTERS + 1) and is_ready(other, MASTERS + 1))
        client.execute_command("CLUSTER REPLICATE", name)
        until(lambda: client.info("replication").get("master_link_status") == "up")


@pytest.fixture
def server(nodes) -> Iterator[FastServer]:
    with fast_server(RedisAddress(HOST, nodes[1].port, password=PASSWORD, mode="Cluster")) as made:
        assert values_of(made.ask(*DRIVERS))[1] == [float(driver) for driver in DRIVERS]
        yield made


def drivers_of(nodes, index: int) -> list[int]:
    """Those whose rows the master of this number has at the start."""
    with RedisCluster(host=HOST, port=nodes[1].port, password=PASSWORD) as client:
        return [driver for driver in DRIVERS if client.keyslot(key_of(driver)) * MASTERS // SLOTS == index]


@contextmanager
def load(server: FastServer) -> Iterator[Counter]:
    """Ask for all drivers again and again; what was answered, with "slow" for what took too long."""
    found: Counter = Counter()
    stop = threading.Event()

    def ask() -> None:
        for _ in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            begun = time.monotonic()
            answer = server.ask(*DRIVERS)
            found["slow"] += time.monotonic() - begun > PROMISED
            found[answer.status_code] += 1
            if answer.status_code == 200:
                found["wrong"] += values_of(answer)[1] != [float(driver) for driver in DRIVERS]

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_slots_that_move_are_not_noticed(nodes, server):
    with RedisCluster(host=HOST, port=nodes[1].port, password=PASSWORD) as client:
        slots = sorted({client.keyslot(key_of(driver)) for driver in DRIVERS})
    with load(server) as found:
        for slot in slots[:12]:
            move(nodes[:MASTERS], slot, pause=0.05)
        until(lambda: found[200] > 50)
    assert set(+found) == {200}


def test_a_key_that_has_moved_in_a_slot_that_has_not_is_asked_for_where_it_is(nodes, server):
    (driver, *_) = drivers_of(nodes, 1)
    with RedisCluster(host=HOST, port=nodes[1].port, password=PASSWORD) as client:
        slot = client.keyslot(key_of(driver))
    with nodes[1].client() as source, nodes[2].client() as target:
        names = [one.execute_command("CLUSTER MYID").decode() for one in (source, target)]
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        source.execute_command("MIGRATE", HOST, nodes[2].port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", key_of(driver))
        for _ in range(5):
            assert values_of(server.ask(*DRIVERS))[1] == [float(each) for each in DRIVERS]


def test_a_failover_of_a_master_ends_the_outage_of_its_rows_alone(nodes, server):
    lost, other = drivers_of(nodes, 0)[0], drivers_of(nodes, 1)[0]
    with load(server) as found:
        until(lambda: found[200])
        nodes[0].kill()
        end = time.monotonic() + PATIENCE
        while (answer := server.ask(lost)).status_code != 200:
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert server.ask(other).status_code == 200
            assert time.monotonic() < end
            time.sleep(0.02)
        before = found[200]
        until(lambda: found[200] > before)
    assert set(+found) == {200, 503}


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_without_a_node_its_rows_are_away_and_others_are_answered(nodes, server, how):
    lost, other = drivers_of(nodes, 2)[0], drivers_of(nodes, 1)[0]
    if how == "killed":
        nodes[2].kill()
    else:
        os.kill(nodes[2].process.pid, signal.SIGSTOP)
    for _ in range(20):
        begun = time.monotonic()
        assert server.ask(lost).status_code == 503
        assert time.monotonic() - begun < PROMISED
        assert server.ask(other).status_code == 200
    assert server.store.is_away
    if how == "killed":
        nodes[2].start()
    else:
        os.kill(nodes[2].process.pid, signal.SIGCONT)
    server.ask_until(200, lost)
    until(lambda: not server.store.is_away)


def test_a_cluster_that_was_down_at_the_start_is_read_when_it_is_there(nodes):
    for one in nodes:
        os.kill(one.process.pid, signal.SIGSTOP)
    with fast_server(RedisAddress(HOST, nodes[1].port, password=PASSWORD, mode="Cluster")) as server:
        for _ in range(3):
            begun = time.monotonic()
            assert server.ask(1).status_code == 503
            assert time.monotonic() - begun < PROMISED
        for one in nodes:
            os.kill(one.process.pid, signal.SIGCONT)
        server.ask_until(200, *DRIVERS)


def test_one_server_is_no_cluster(tmp_path):
    redis = RedisProcess(tmp_path).start()
    try:
        with fast_server(RedisAddress(HOST, redis.port, password=PASSWORD, mode="Cluster")) as server:
            assert "it is no cluster; say so in its address" in server.ask(1).json()["message"]
    finally:
        redis.kill()


def test_a_node_alone_is_said_to_be_of_a_cluster(nodes):
    with fast_server(RedisAddress(HOST, nodes[0].port, password=PASSWORD)) as server:
        answer = server.ask(*DRIVERS)
        assert answer.status_code == 503
        assert "it is a node of a Redis Cluster; say so in its address" in answer.json()["message"]
