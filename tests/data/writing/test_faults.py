"""A server that goes away, comes back, or is not what it was."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data.writing.batches import T0, batch, hash_of, key_of, rows_of
from data.writing.redis_processes import HOST, PASSWORD, RedisProcess
from featureplane.errors import ServerReplaced, StoreUnavailable
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.writer import Writer, open_writer
from featureplane.online.layout import time_field
from patience import PATIENCE, until

MODES = {"newest": {}, "atomic": {"atomic": True}, "overwrite": {"overwrite": True}}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
LIMITS = Limits(rows=200, pieces=3, patience=PATIENCE, timeout=5)


@pytest.fixture
def make(tmp_path) -> Iterator[Callable[..., RedisProcess]]:
    made: list[RedisProcess] = []

    def start(**settings: str) -> RedisProcess:
        made.append(RedisProcess(Path(tmp_path) / str(len(made)), settings))
        return made[-1].start()

    yield start
    for server in made:
        server.kill()


@contextmanager
def after(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def fill(writer: Writer, seconds: float, start: int = 0) -> int:
    """Write batches of 1,000 rows for a while; how many rows."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        writer.write(batch("x", rows_of(1000, T0, first=start + 1000 * number)))
        if time.monotonic() > end:
            return 1000 * (number + 1)
    return 0


def write_through(writer: Writer, event: Callable[[], object]) -> None:
    """Have rows confirmed, then write while something happens and after it."""
    writer.write(batch("x", rows_of(1000)))
    writer.flush()
    with after(0.1, event):
        fill(writer, 0.5)
    writer.write(batch("x", rows_of(1000)))
    writer.flush()


@every_mode
def test_a_lost_connection_loses_no_row(make, mode):
    server = make()
    with open_writer(server.address, limits=LIMITS, **mode) as writer, server.client() as redis:
        wanted = 0
        for _ in range(4):
            with after(0.1, lambda: redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")):
                wanted += fill(writer, 0.3, wanted)
        writer.flush()
        assert redis.dbsize() == wanted == writer.written[time_field("x")]
        assert redis.hgetall(key_of(wanted - 1)) == hash_of("x", T0, {"a": 1.0, "b": (wanted - 1) / 8})


@every_mode
@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_after_a_crash_the_copy_begins_anew(make, mode, appendonly):
    server = make(appendonly=appendonly, appendfsync="always")

    def crash() -> None:
        server.kill()
        server.start()

    with pytest.raises(ServerReplaced), open_writer(server.address, limits=LIMITS, **mode) as writer:
        write_through(writer, crash)
    with open_writer(server.address, limits=LIMITS, **mode) as writer:
        writer.write(batch("x", rows_of(1000)))
    with server.client() as redis:
        assert redis.hgetall(key_of(9)) == hash_of("x", T0, {"a": 1.0, "b": 9 / 8})


def test_a_restart_before_anything_was_confirmed_does_not_matter(make):
    server = make()
    with open_writer(server.address, limits=LIMITS) as writer:
        server.kill()
        server.start()
        writer.write(batch("x", rows_of(1000)))
        writer.flush()
        assert writer.written[time_field("x")] == 1000


def test_a_server_that_stays_away_ends_the_copy(make):
    server = make()
    limits = Limits(rows=200, pieces=3, patience=1, timeout=5)
    with (  # noqa: PT012 - it breaks somewhere
        pytest.raises(StoreUnavailable, match="does not answer") as caught,
        open_writer(server.address, limits=limits) as writer,
    ):
        writer.write(batch("x", rows_of(100)))
        writer.flush()
        server.kill()
        writer.write(batch("x", rows_of(1000)))
        writer.flush()
    assert PASSWORD not in str(caught.value)


@every_mode
def test_a_replica_is_waited_for(make, mode):
    server = make()
    with open_writer(server.address, limits=LIMITS, **mode) as writer, server.client() as redis:
        fill(writer, 0.1)
        redis.replicaof(HOST, "1")
        with after(1, lambda: redis.replicaof("NO", "ONE")):
            wanted = fill(writer, 0.3)
            writer.flush()
        assert redis.dbsize() >= wanted


def test_a_server_whose_data_another_replaced_is_another_server(make):
    server, other = make(), make()
    with server.client() as redis, other.client() as source:
        source.set("somebody", "else")
        redis.config_set("masterauth", PASSWORD)

        def replace() -> None:
            redis.replicaof(HOST, str(other.port))
            until(lambda: redis.info("replication")["master_link_status"] == "up")
            redis.replicaof("NO", "ONE")

        with pytest.raises(ServerReplaced, match="may have lost"), open_writer(server.address, limits=LIMITS) as writer:
            write_through(writer, replace)


def test_a_server_that_loads_its_data_is_waited_for(make):
    server = make()
    with server.client() as redis:
        redis.mset({f"k{number}": os.urandom(10_000) for number in range(2000)})
        redis.save()
    server.kill()
    server.settings |= {"key-load-delay": "800"}
    server.start(wait=False)
    with open_writer(server.address, limits=LIMITS) as writer:
        writer.write(batch("x", rows_of(100)))
    with server.client() as redis:
        assert redis.dbsize() == 2100
        assert redis.info("persistence")["loading"] == 0


@every_mode
def test_a_silent_server_is_left_and_met_again(make, mode):
    server = make()
    assert server.process
    limits = Limits(rows=200, pieces=3, patience=PATIENCE, timeout=0.5)
    with open_writer(server.address, limits=limits, **mode) as writer, server.client() as redis:
        fill(writer, 0.1)
        server.process.send_signal(signal.SIGSTOP)
        with after(1.5, lambda: server.process.send_signal(signal.SIGCONT)):
            wanted = fill(writer, 0.3)
            writer.flush()
        assert redis.dbsize() >= wanted


def test_a_silent_server_is_not_waited_for_without_end(make):
    server = make()
    assert server.process
    limits = Limits(rows=200, pieces=3, patience=1.0, timeout=0.5)
    with (  # noqa: PT012 - it breaks somewhere
        pytest.raises(StoreUnavailable, match=r"no answer|Timeout"),
        open_writer(server.address, limits=limits) as writer,
    ):
        server.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        fill(writer, 60)
    assert time.monotonic() - began < 30
