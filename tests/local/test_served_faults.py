"""What happens to Redis, and what clients of the fast path get meanwhile: an answer or 503 in under a second, and
answers again when it is back.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import OutOfMemoryError

from data.writing.redis_processes import PASSWORD, RedisProcess
from fast_server import FEATURES, VIEW, FastServer, fast_server, fill, key_of, row_of, values_of
from featureplane.online.layout import field, time_field
from patience import SLACK
from tcp_proxy import TcpProxy

# What a client waits for an answer during an outage is a second; the machine may be busy.
PROMISED = 1.0 + SLACK


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    yield redis
    redis.kill()


@pytest.fixture
def redis(shared: RedisProcess) -> RedisProcess:
    if shared.process is None:
        shared.start()
    with shared.client() as client:
        client.config_set("maxmemory", 0)
        client.flushall()
        fill(client, range(20))
    return shared


@pytest.fixture
def server(redis: RedisProcess) -> Iterator[FastServer]:
    with fast_server(redis.address) as made:
        assert values_of(made.ask(3))[1] == [3.0]
        yield made


def ask_in_time(server: FastServer, *drivers: int) -> httpx.Response:
    begun = time.monotonic()
    answer = server.ask(*(drivers or (1,)))
    assert time.monotonic() - begun < PROMISED
    return answer


def assert_away(answer: httpx.Response, why: str = "") -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"] == "1"
    said = answer.json()
    assert why in said["message"]
    assert said["request_id"] == answer.headers["x-request-id"]
    assert "127.0.0.1" not in answer.text


def crash(redis: RedisProcess) -> None:
    redis.kill()


def restore(redis: RedisProcess) -> None:
    redis.start()
    with redis.client() as client:
        fill(client, range(20))


def freeze(redis: RedisProcess) -> None:
    assert redis.process
    os.kill(redis.process.pid, signal.SIGSTOP)


def thaw(redis: RedisProcess) -> None:
    assert redis.process
    os.kill(redis.process.pid, signal.SIGCONT)


def pause(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.client_pause(10_000)


def nothing(_: RedisProcess) -> None:
    """The pause ends by itself."""


OUTAGES: dict[str, tuple[Callable[[RedisProcess], None], Callable[[RedisProcess], None]]] = {
    "crashed": (crash, restore), "stopped": (freeze, thaw), "CLIENT PAUSE": (pause, nothing),
}  # fmt: skip


@pytest.mark.parametrize(("breaks", "mends"), OUTAGES.values(), ids=OUTAGES.keys())
def test_an_outage_is_said_in_time_and_ends_by_itself(
    redis: RedisProcess, server: FastServer, breaks: Any, mends: Any
) -> None:
    breaks(redis)
    for _ in range(20):
        assert_away(ask_in_time(server), "Redis cannot be read")
    mends(redis)
    server.ask_until(200)
    assert values_of(server.ask(7)) == [[7], [7.0], [7.25]]


def test_many_who_ask_while_redis_stops_all_hear_in_time(redis: RedisProcess, server: FastServer) -> None:
    freeze(redis)
    found: list[tuple[int, float]] = []

    def ask() -> None:
        begun = time.monotonic()
        found.append((server.ask(1).status_code, time.monotonic() - begun))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    thaw(redis)
    assert {status for status, _ in found} == {503}
    assert max(seconds for _, seconds in found) < PROMISED


def test_a_restart_between_two_requests_is_not_noticed(redis: RedisProcess, server: FastServer) -> None:
    crash(redis)
    restore(redis)
    time.sleep(1.5)
    assert server.ask(1).status_code == 200


def test_a_connection_that_redis_closed_for_idleness_is_made_again_unnoticed(
    redis: RedisProcess, server: FastServer
) -> None:
    with redis.client() as client:
        for _ in range(5):
            client.client_kill_filter(_type="normal", skipme=True)
            assert server.ask(1).status_code == 200


def test_a_full_redis_is_read(redis: RedisProcess, server: FastServer) -> None:
    with redis.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            client.set("more", "x")
    assert values_of(server.ask(1))[1] == [1.0]


def test_redis_that_was_down_at_the_start_is_read_when_it_is_there(redis: RedisProcess) -> None:
    crash(redis)
    with fast_server(redis.address) as server:
        assert_away(ask_in_time(server), "nothing listens at its address")
        restore(redis)
        server.ask_until(200)


def test_a_redis_that_loads_its_data_is_away_until_it_has(tmp_path: Path) -> None:
    # Redis looks at its clients every 2 MB; each key takes another 0.6 s.
    redis = RedisProcess(tmp_path, {"key-load-delay": "600000", "rdbcompression": "no"}).start()
    try:
        with redis.client() as client:
            fill(client, range(1))
            for number in range(8):
                client.set(f"large {number}", bytes(3 << 20))
            client.save()
        redis.kill()
        redis.start(wait=False)
        with fast_server(redis.address) as server:
            while "it loads its data" not in (answer := ask_in_time(server)).text:
                assert_away(answer)
            redis.wait()
            server.ask_until(200, 0)
    finally:
        redis.kill()


@pytest.mark.parametrize("password", ["wr0ng-s3cret", ""])
def test_a_wrong_password_is_said_and_not_shown(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture, password: str
) -> None:
    why = "refuses the user's name or password" if password else "wants a password"
    with caplog.at_level(logging.WARNING), fast_server(replace(redis.address, password=password)) as server:
        assert_away(ask_in_time(server), why)
        assert why in server.store.is_away
    assert caplog.text.count("cannot be read") == 1
    assert why in caplog.text
    assert not password or password not in caplog.text


def test_a_changed_password_ends_nothing_until_the_connection_does(redis: RedisProcess, server: FastServer) -> None:
    with redis.client() as client:
        client.config_set("requirepass", "another")
        try:
            assert server.ask(1).status_code == 200
            client.client_kill_filter(_type="normal", skipme=True)
            assert_away(ask_in_time(server), "refuses the user's name or password")
        finally:
            client.config_set("requirepass", PASSWORD)
    server.ask_until(200)


def test_a_user_who_may_only_read_is_enough(redis: RedisProcess) -> None:
    with redis.client() as client:
        client.execute_command("ACL SETUSER reader on >secret ~* -@all +hmget")
        try:
            with fast_server(replace(redis.address, username="reader", password="secret")) as server:
                assert server.ask(1).status_code == 200
                client.execute_command("ACL SETUSER reader -hmget")
                assert_away(server.ask(1), "ACL does not let this user read")
                client.execute_command("ACL SETUSER reader +hmget")
                assert server.ask(1).status_code == 200
        finally:
            client.execute_command("ACL DELUSER reader")


@contextmanager
def behind_a_proxy(redis: RedisProcess) -> Iterator[tuple[FastServer, TcpProxy]]:
    with TcpProxy(redis.port) as proxy, fast_server(replace(redis.address, port=proxy.port)) as server:
        yield server, proxy


def test_packets_that_are_dropped_are_an_outage(redis: RedisProcess) -> None:
    with behind_a_proxy(redis) as (server, proxy):
        assert server.ask(1).status_code == 200
        proxy.forwards.clear()
        for _ in range(10):
            assert_away(ask_in_time(server), "did not answer in time")
        proxy.forwards.set()
        server.ask_until(200)


@pytest.mark.parametrize("length", [0, 1, 20])
def test_an_answer_that_ends_in_the_middle_is_an_outage(redis: RedisProcess, length: int) -> None:
    with behind_a_proxy(redis) as (server, proxy):
        assert server.ask(1).status_code == 200
        proxy.answers_up_to = length
        for _ in range(5):
            assert_away(ask_in_time(server))
        proxy.answers_up_to = -1
        server.ask_until(200)


def test_what_nobody_asked_for_is_no_answer_to_the_next_request(redis: RedisProcess) -> None:
    """Taken for one, it would give each request the answer of the one before it."""
    with behind_a_proxy(redis) as (server, proxy):
        assert server.ask(1).status_code == 200
        proxy.inject(b"*3\r\n$-1\r\n$-1\r\n$-1\r\n")
        time.sleep(0.2)
        for driver in range(10):
            assert values_of(server.ask(driver))[1] == [driver]


BROKEN: dict[str, tuple[dict[bytes, bytes], str]] = {
    "a value": ({field(VIEW, "rating"): b"\x12\xff\xff"}, "the value of rating of rides at entity row 1"),
    "a text": ({field(VIEW, "rating"): b"\x12\x02\xff\xfe"}, "the value of rating of rides at entity row 1"),
    "a time": ({time_field(VIEW): b"\xff"}, "the event time of rides at entity row 1"),
    "a time to come": (
        {time_field(VIEW): b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
        "the event time of rides at entity row 1",
    ),
}


@pytest.mark.parametrize(("fields", "what"), BROKEN.values(), ids=BROKEN.keys())
def test_a_value_that_does_not_decode_is_named_and_spoils_no_other_request(
    redis: RedisProcess, server: FastServer, fields: dict[bytes, bytes], what: str
) -> None:
    with redis.client() as client:
        client.hset(key_of(2), mapping=fields)  # type: ignore[arg-type]
    answer = server.ask(1, 2, 3)
    assert answer.status_code == 500
    assert what in answer.json()["message"]
    assert answer.json()["request_id"]
    assert values_of(server.ask(1, 3))[1] == [1.0, 3.0]


def test_a_key_of_another_type_spoils_no_other_request(redis: RedisProcess, server: FastServer) -> None:
    with redis.client() as client:
        client.delete(key_of(2))
        client.set(key_of(2), "no hash")
    statuses: list[int] = []

    def ask(*drivers: int) -> None:
        statuses.extend(server.ask(*drivers).status_code for _ in range(50))

    threads = [threading.Thread(target=ask, args=drivers) for drivers in ((1, 2), (1, 3), (4, 5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 100 + [500] * 50
    assert "the key of rides at entity row 1 is of another type" in server.ask(1, 2).json()["message"]


def test_rows_of_which_a_part_is_there_are_answered(redis: RedisProcess, server: FastServer) -> None:
    with redis.client() as client:
        client.delete(key_of(2))
        client.hset(key_of(2), mapping={field(VIEW, FEATURES[0]): row_of(2)[field(VIEW, FEATURES[0])]})
    found = server.ask(1, 2).json()["results"]
    assert found[1]["statuses"] == ["PRESENT", "PRESENT"]
    assert found[2]["statuses"] == ["PRESENT", "NOT_FOUND"]
