"""The fast path on a master that Sentinel replaces, under load."""

import time

import pytest

from data.serving.test_cluster import DRIVERS, PROMISED, load
from data.writing.redis_processes import HOST, PASSWORD, RedisProcess
from data.writing.test_sentinel import GROUP, address, ask_for_a_failover, group
from fast_server import fast_server, fill, values_of
from featureplane.settings import RedisAddress
from patience import until

__all__ = ["address", "group"]


@pytest.mark.parametrize("how", ["crash", "failover", "stop"])
def test_after_a_failover_the_new_master_is_read(group, address, how):
    master, replica, sentinel = group
    with master.client() as client:
        fill(client, DRIVERS)
        client.wait(1, 5000)
    with fast_server(address) as server, load(server) as found:
        until(lambda: found[200])
        if how == "failover":
            ask_for_a_failover(sentinel)
        elif how == "crash":
            master.kill()
        else:
            master.process.send_signal(19)
        with replica.client() as client:
            until(lambda: client.info("replication")["role"] == "master")
            fill(client, range(1_000, 1_001))
        server.ask_until(200, 1_000)
        until(lambda: values_of(server.ask(1_000))[1] == [1_000.0])
    assert found["wrong"] == found["slow"] == 0
    assert set(+found) <= {200, 503}


def test_a_sentinel_that_knows_no_such_group_is_said(group):
    with fast_server(RedisAddress(HOST, group[2].port, password=PASSWORD, mode="Sentinel", sentinel_master="x")) as it:
        begun = time.monotonic()
        assert "knows no master 'x'" in it.ask(1).json()["message"]
        assert time.monotonic() - begun < PROMISED


def test_a_sentinel_that_is_gone_ends_nothing(group, address):
    master, _, sentinel = group
    with master.client() as client:
        fill(client, DRIVERS)
    with fast_server(address) as server:
        assert server.ask(1).status_code == 200
        sentinel.kill()
        assert server.ask(1).status_code == 200


def test_a_server_is_no_sentinel(tmp_path):
    redis = RedisProcess(tmp_path).start()
    try:
        address = RedisAddress(HOST, redis.port, password=PASSWORD, mode="Sentinel", sentinel_master=GROUP)
        with fast_server(address) as server:
            assert "refuses SENTINEL" in server.ask(1).json()["message"]
    finally:
        redis.kill()
