"""Fields that expire, on a server that knows HPEXPIREAT: Redis 7.4 or Valkey 9 on the PATH."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from data.writing.batches import batch, every_mode, hash_of, joint_batch, key_of, rows_of
from data.writing.pushes import key_of as pushed_key
from data.writing.pushes import push
from data.writing.redis_processes import RedisProcess, fields_expire
from featureplane.materialization.writing.writer import open_writer
from featureplane.online.expiry import Expiry
from featureplane.online.layout import field, time_field
from featureplane.serving.writing.writer import Outcome
from patience import until

HOUR = 3_600_000


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RedisProcess]:
    made = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    try:
        with made.client() as client:
            if not fields_expire(client):
                pytest.skip("the redis-server on the PATH knows no HPEXPIREAT: it takes Redis 7.4 or Valkey 9")
        yield made
    finally:
        made.kill()


@pytest.fixture
def redis(server) -> Iterator[Redis]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def now() -> int:
    """Microseconds."""
    return time.time_ns() // 1000


def write(server, rows, expiry=None, **mode):
    with open_writer(server.address, expiry=expiry or Expiry(), **mode) as writer:
        writer.write(rows)


def expiries(redis, entity, *names) -> list[int]:
    return redis.execute_command("HPEXPIRETIME", key_of(entity), "FIELDS", len(names), *names)


@every_mode
def test_each_view_s_fields_have_their_own_expiry(server, redis, now, mode):
    for view, ttl in {"short": HOUR, "long": 5 * HOUR, "for_ever": 0}.items():
        write(server, batch(view, [(1, now, {"a": 1})], ttl), **mode)
    for view, ttl in {"short": HOUR, "long": 5 * HOUR}.items():
        assert expiries(redis, 1, field(view, "a"), time_field(view)) == [now // 1000 + ttl] * 2
    assert expiries(redis, 1, field("for_ever", "a"), time_field("for_ever")) == [-1, -1]
    assert redis.pttl(key_of(1)) == -1


@every_mode
def test_only_the_expired_view_goes(server, redis, now, mode):
    write(server, batch("short", [(1, now, {"a": 1})], 5_000), **mode)
    write(server, batch("long", [(1, now, {"a": 2})], HOUR), **mode)
    assert redis.hlen(key_of(1)) == 4
    until(lambda: redis.hgetall(key_of(1)) == hash_of("long", now, {"a": 2}))


@every_mode
def test_a_newer_row_lives_longer(server, redis, now, mode):
    for micros in (now, now + 5_000_000):
        write(server, batch("x", rows_of(3, micros), HOUR), **mode)
        assert expiries(redis, 1, time_field("x")) == [micros // 1000 + HOUR]


@every_mode
def test_a_view_that_lost_its_ttl_stays(server, redis, now, mode):
    write(server, batch("x", rows_of(1, now), HOUR), **mode)
    write(server, batch("x", rows_of(1, now)), **mode)
    assert expiries(redis, 0, time_field("x"), field("x", "a")) == [-1, -1]


@every_mode
def test_an_expiry_that_an_older_server_gave_the_key_is_taken_away(server, redis, now, mode):
    write(server, batch("x", rows_of(1, now), HOUR), **mode)
    redis.expire(key_of(0), 10)
    write(server, batch("x", rows_of(1, now), HOUR), Expiry(all_views_expire=True), **mode)
    assert redis.pttl(key_of(0)) == -1


@every_mode
def test_views_that_are_written_together(server, redis, now, mode):
    rows = joint_batch([1, 2], {"x": [(now, {"a": 1}), None], "y": [(now, {"b": 1}), (now, {"b": 2})]}, HOUR)
    write(server, rows, **mode)
    for view, name in (("x", "a"), ("y", "b")):
        assert expiries(redis, 1, field(view, name), time_field(view)) == [now // 1000 + HOUR] * 2
    assert expiries(redis, 2, time_field("y")) == [now // 1000 + HOUR]


def test_fields_of_pushed_rows_expire(server, redis, now):
    seconds = now // 1_000_000
    assert push(server.address, [1, 2], seconds, ttl=3600, expiry=Expiry()) == Outcome(written=2)
    ends = redis.execute_command("HPEXPIRETIME", pushed_key(1), "FIELDS", 2, field("stats", "a"), time_field("stats"))
    assert ends == [seconds * 1000 + HOUR] * 2
    assert redis.pttl(pushed_key(1)) == -1
