"""How long rows live: on the server that is here, and as commands for one whose fields can expire."""

import time

import hiredis
import numpy as np
import pytest

from data.writing.batches import SECOND, batch, every_mode, hash_of, joint_batch, key_of, rows_of
from data.writing.pushes import key_of as pushed_key
from data.writing.pushes import push
from data.writing.redis_processes import fields_expire
from featureplane.materialization.writing import modes
from featureplane.materialization.writing.writer import open_writer
from featureplane.online.expiry import Expiry, Plan, plan_for
from featureplane.online.layout import field, time_field
from featureplane.serving.writing.writer import Outcome

HOUR = 3_600_000


@pytest.fixture
def only_keys_expire(redis) -> None:
    if fields_expire(redis):
        pytest.skip("fields expire on this server: see test_field_expiry")


@pytest.fixture
def now() -> int:
    """Microseconds."""
    return time.time_ns() // 1000


def write(server, expiry, *batches, **mode):
    with open_writer(server.address, expiry=expiry, **mode) as writer:
        for rows in batches:
            writer.write(rows)
    return writer


def left(redis, entity) -> int:
    """Milliseconds since 1970 when the key goes, -1 never."""
    remaining = redis.pttl(key_of(entity))
    return remaining if remaining < 0 else time.time_ns() // 1_000_000 + remaining


@every_mode
def test_without_expiry_every_row_stays(server, redis, now, mode):
    writer = write(server, None, batch("x", rows_of(3, now - 10 * HOUR * 1000), HOUR), **mode)
    assert (redis.dbsize(), redis.pttl(key_of(1)), not writer.expired) == (3, -1, True)


@every_mode
def test_rows_that_outlived_their_ttl_are_not_written(server, redis, now, mode):
    rows = [*rows_of(3, now - 2 * HOUR * 1000), *rows_of(2, now, first=3)]
    writer = write(server, Expiry(all_views_expire=True), batch("x", rows, HOUR), **mode)
    assert (writer.expired[time_field("x")], writer.written[time_field("x")], redis.dbsize()) == (3, 2, 2)


@every_mode
def test_a_key_lives_as_long_as_its_longest_view(server, redis, only_keys_expire, now, mode):
    expiry = Expiry(all_views_expire=True, longest_ttl_ms=5 * HOUR)
    write(server, expiry, batch("short", rows_of(3, now), HOUR), **mode)
    assert left(redis, 1) == pytest.approx(now / 1000 + HOUR, abs=50)
    write(server, expiry, batch("long", rows_of(3, now), 5 * HOUR), **mode)
    assert left(redis, 1) == pytest.approx(now / 1000 + 5 * HOUR, abs=50)
    write(server, expiry, batch("short", rows_of(3, now + 1), HOUR), **mode)
    assert left(redis, 1) == pytest.approx(now / 1000 + 5 * HOUR, abs=50)


@every_mode
def test_views_that_are_written_together_expire_with_the_last(server, redis, only_keys_expire, now, mode):
    rows = joint_batch([1, 2], {"x": [(now, {"a": 1}), (now, {"a": 1})], "y": [(now - SECOND, {"b": 1}), None]}, HOUR)
    write(server, Expiry(all_views_expire=True), rows, **mode)
    assert left(redis, 1) == pytest.approx(now / 1000 + HOUR, abs=50)
    assert left(redis, 2) == pytest.approx(now / 1000 + HOUR, abs=50)


@every_mode
def test_a_key_stays_where_some_view_has_no_ttl(server, redis, only_keys_expire, now, mode):
    write(server, Expiry(all_views_expire=True), batch("short", rows_of(3, now), HOUR), **mode)
    write(server, Expiry(), batch("for_ever", rows_of(3, now)), **mode)
    assert left(redis, 1) == -1
    write(server, Expiry(), batch("short", rows_of(3, now + 1), HOUR), **mode)
    assert left(redis, 1) == -1


@every_mode
@pytest.mark.parametrize("longest", [0, 5 * HOUR])
def test_what_was_written_without_expiry_is_not_cut_short(server, redis, only_keys_expire, now, mode, longest):
    write(server, None, batch("long", rows_of(3, now), 5 * HOUR), **mode)
    write(server, Expiry(all_views_expire=True, longest_ttl_ms=longest), batch("short", rows_of(3, now), HOUR), **mode)
    assert left(redis, 1) == (pytest.approx(now / 1000 + longest, abs=2000) if longest else -1)


@every_mode
def test_feast_s_own_option_counts_from_each_write(server, redis, now, mode):
    write(server, Expiry(key_ttl_seconds=100), batch("x", rows_of(3, now)), **mode)
    assert 98 <= redis.ttl(key_of(1)) <= 100
    redis.expire(key_of(1), 5)
    write(server, Expiry(key_ttl_seconds=100), batch("x", rows_of(3, now)), **mode)
    assert 98 <= redis.ttl(key_of(1)) <= 100


@pytest.mark.parametrize("mode", [{}, {"atomic": True}], ids=["newest", "atomic"])
def test_a_row_that_is_not_written_leaves_the_expiry_alone(server, redis, now, mode):
    write(server, None, batch("x", rows_of(1, now)), **mode)
    redis.expire(key_of(0), 7)
    for expiry in (Expiry(), Expiry(key_ttl_seconds=100), Expiry(all_views_expire=True)):
        write(server, expiry, batch("x", rows_of(1, now - 1), 9 * HOUR), **mode)
    assert 5 <= redis.ttl(key_of(0)) <= 7


def test_pushed_rows_live_as_long_as_those_of_a_run(server, redis, only_keys_expire, now):
    seconds = now // 1_000_000
    expiry = Expiry(all_views_expire=True, longest_ttl_ms=HOUR)
    assert push(server.address, [1], seconds, ttl=3600, expiry=expiry) == Outcome(written=1)
    assert redis.pttl(pushed_key(1)) == pytest.approx(seconds * 1000 + HOUR - now / 1000, abs=2000)
    assert push(server.address, [1], seconds - 3601, ttl=3600, expiry=expiry) == Outcome(expired=1)
    assert push(server.address, [1], seconds, expiry=Expiry()) == Outcome(written=1)
    assert redis.pttl(pushed_key(1)) == -1
    assert push(server.address, [1], seconds, expiry=Expiry(key_ttl_seconds=100)) == Outcome(written=1)
    assert 98 <= redis.ttl(pushed_key(1)) <= 100
    assert push(server.address, [1], seconds) == Outcome(written=1)
    assert redis.ttl(pushed_key(1)) > 0


def test_where_fields_expire_only_they_do():
    ttls = [HOUR]
    for expiry in (Expiry(), Expiry(all_views_expire=True)):
        assert plan_for(expiry, ttls, has_field_expiry=True) == Plan(fields_expire=True, action="persist")
    assert plan_for(Expiry(key_ttl_seconds=9), ttls, has_field_expiry=True) == Plan(True, "expire", 9)
    assert plan_for(None, ttls, has_field_expiry=True) == Plan()


def test_a_view_without_ttl_never_gives_a_key_an_expiry():
    ttls = [0, HOUR]
    assert plan_for(Expiry(all_views_expire=True), ttls, has_field_expiry=False).action == "persist"


def test_fields_get_their_expiry_right_behind_their_values(now):
    rows = joint_batch([1, 2], {"x": [(now, {"a": 1}), (now, {"a": 1})], "y": [(now - SECOND, {"b": 1}), None]}, HOUR)
    request = next(modes.overwrite(rows, Plan(fields_expire=True, action="persist"), 100))
    reader = hiredis.Reader()
    for buffer in request.buffers:
        reader.feed(bytes(buffer))
    x, y = hash_of("x", now, {"a": 1}), hash_of("y", now - SECOND, {"b": 1})

    def expiring(entity, micros, view, name):
        names = [field(view, name), time_field(view)]
        return [b"HPEXPIREAT", key_of(entity), b"%d" % (micros // 1000 + HOUR), b"FIELDS", b"2", *names]

    def pairs(values):
        return [word for pair in values.items() for word in pair]

    sent = [reader.gets() for _ in range(request.replies)]
    assert reader.gets() is False
    assert sent == [
        [b"HSET", key_of(1), *pairs(x), *pairs(y)],
        [b"PERSIST", key_of(1)],
        expiring(1, now, "x", "a"),
        expiring(1, now - SECOND, "y", "b"),
        [b"HSET", key_of(2), *pairs(x)],
        [b"PERSIST", key_of(2)],
        expiring(2, now, "x", "a"),
    ]
    assert [request.command(index)[1] for index in range(request.replies)] == [0, 1, 2, 3, 0, 1, 2]
    assert np.array_equal(request.groups[0][1], [4, 3])
