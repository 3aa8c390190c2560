"""A master with a replica and the Sentinel that watches them."""

import time
from collections.abc import Iterator

import pytest
from redis import ResponseError

from data.writing.batches import T0, batch, hash_of, key_of, rows_of
from data.writing.redis_processes import HOST, PASSWORD, RedisProcess
from featureplane.errors import ServerReplaced
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.writer import open_writer
from featureplane.settings import RedisAddress
from patience import PATIENCE, until

LIMITS = Limits(rows=500, pieces=3, patience=PATIENCE, timeout=5)
QUOTED = '"' + "".join(f"\\x{byte:02x}" for byte in PASSWORD.encode()) + '"'
GROUP = "features"


@pytest.fixture
def group(tmp_path) -> Iterator[tuple[RedisProcess, RedisProcess, RedisProcess]]:
    made: list[RedisProcess] = []
    try:
        auth = {"masterauth": QUOTED}
        made.append(RedisProcess(tmp_path / "master", auth).start())
        made.append(RedisProcess(tmp_path / "replica", auth | {"replicaof": f"{HOST} {made[0].port}"}).start())
        watched = {
            "sentinel monitor": f"{GROUP} {HOST} {made[0].port} 1",
            "sentinel auth-pass": f"{GROUP} {QUOTED}",
            "sentinel down-after-milliseconds": f"{GROUP} 1000",
            "sentinel failover-timeout": f"{GROUP} 5000",
        }
        made.append(RedisProcess(tmp_path / "sentinel", watched, kind="--sentinel").start())
        with made[2].client() as sentinel:
            until(lambda: sentinel.sentinel_master(GROUP)["num-slaves"] and linked(made[1]))
        yield made[0], made[1], made[2]
    finally:
        for one in reversed(made):
            one.kill()


def linked(replica: RedisProcess) -> bool:
    with replica.client() as client:
        return client.info("replication").get("master_link_status") == "up"


def ask_for_a_failover(sentinel: RedisProcess) -> None:
    """Sentinel looks at a replica every 10 s: until it saw it linked to its master, it refuses to promote it."""
    with sentinel.client() as client:

        def is_promoting() -> bool:
            try:
                client.execute_command("SENTINEL FAILOVER", GROUP)
            except ResponseError as error:
                if "NOGOODSLAVE" in str(error):
                    return False
                if "INPROG" not in str(error):  # by itself, as it found the master too slow
                    raise
            return True

        until(is_promoting)


@pytest.fixture
def address(group) -> RedisAddress:
    return RedisAddress(HOST, group[2].port, password=PASSWORD, mode="Sentinel", sentinel_master=GROUP)


def test_rows_go_to_the_master(group, address):
    with open_writer(address, limits=LIMITS) as writer:
        writer.write(batch("x", rows_of(1000)))
    with group[0].client() as master:
        assert master.hgetall(key_of(9)) == hash_of("x", T0, {"a": 1.0, "b": 9 / 8})


@pytest.mark.parametrize("how", ["crash", "failover"])
def test_after_a_failover_the_copy_begins_anew_on_the_new_master(group, address, how):
    master, replica, sentinel = group
    with pytest.raises(ServerReplaced), open_writer(address, limits=LIMITS) as writer:  # noqa: PT012 - it breaks somewhere
        writer.write(batch("x", rows_of(1000)))
        writer.flush()
        if how == "crash":
            master.kill()
        else:
            ask_for_a_failover(sentinel)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            writer.write(batch("x", rows_of(1000)))
            writer.flush()
    with open_writer(address, limits=LIMITS) as writer:
        writer.write(batch("x", rows_of(1000, T0 + 1, 2.0)))
    with replica.client() as new:
        assert new.info("replication")["role"] == "master"
        assert new.hgetall(key_of(9)) == hash_of("x", T0 + 1, {"a": 2.0, "b": 9 / 8})
