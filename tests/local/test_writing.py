"""The writer on one real Redis."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import hiredis
import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from data.writing.batches import (
    MODES,
    SECOND,
    T0,
    batch,
    every_mode,
    hash_of,
    joint_batch,
    key_of,
    rows_of,
    stamp,
)
from data.writing.redis_processes import PASSWORD, RedisProcess
from featureplane.errors import StoreUnavailable, WriteRefused
from featureplane.materialization.encoding.encoded import Encoded, Part
from featureplane.materialization.writing import connection, resp, stored_times
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.selection import narrowed, piece
from featureplane.materialization.writing.writer import Writer, open_writer
from featureplane.online import scripts
from featureplane.online.layout import time_field
from featureplane.settings import RedisAddress

CAREFUL = {name: MODES[name] for name in ("newest", "atomic")}
SMALL = Limits(rows=3, pieces=3, patience=5)

careful_modes = pytest.mark.parametrize("mode", CAREFUL.values(), ids=CAREFUL)


def write(address: RedisAddress, *batches: Encoded, **options) -> Writer:
    with open_writer(address, **options) as writer:
        for rows in batches:
            writer.write(rows)
    return writer


@every_mode
def test_a_row_is_what_feast_s_layout_says(server, redis, mode):
    write(server.address, batch("stats", rows_of(250)), **mode)
    assert redis.dbsize() == 250
    assert redis.hgetall(key_of(7)) == hash_of("stats", T0, {"a": 1.0, "b": 7 / 8})


@every_mode
def test_views_of_one_entity_share_a_hash(server, redis, mode):
    rows = joint_batch(
        [1, 2, 3], {"x": [(T0, {"a": 1}), None, (T0, {"a": 3})], "y": [(T0, {"b": 1}), (T0, {"b": 2}), None]}
    )
    writer = write(server.address, rows, **mode)
    assert redis.hgetall(key_of(1)) == {**hash_of("x", T0, {"a": 1}), **hash_of("y", T0, {"b": 1})}
    assert redis.hgetall(key_of(2)) == hash_of("y", T0, {"b": 2})
    assert redis.hgetall(key_of(3)) == hash_of("x", T0, {"a": 3})
    assert writer.written == {time_field("x"): 2, time_field("y"): 2}


@careful_modes
def test_older_rows_are_skipped_and_equal_ones_written_again(server, redis, mode):
    write(server.address, batch("stats", rows_of(10)), **mode)
    rows = [*rows_of(3, T0 - 1, 2.0), *rows_of(3, T0, 3.0, first=3), *rows_of(4, T0 + 1, 4.0, first=6)]
    writer = write(server.address, batch("stats", rows), **mode)
    assert (writer.written[time_field("stats")], writer.skipped[time_field("stats")]) == (7, 3)
    for entity, (micros, value) in {0: (T0, 1.0), 3: (T0, 3.0), 6: (T0 + 1, 4.0)}.items():
        assert redis.hgetall(key_of(entity)) == hash_of("stats", micros, {"a": value, "b": entity / 8})


@careful_modes
def test_one_view_s_time_does_not_decide_for_another(server, redis, mode):
    write(server.address, batch("x", [(1, T0, {"a": 1})]), **mode)
    parts = {"x": [(T0 - SECOND, {"a": 2})], "y": [(T0 - SECOND, {"b": 2})]}
    writer = write(server.address, joint_batch([1], parts), **mode)
    assert redis.hgetall(key_of(1)) == {**hash_of("x", T0, {"a": 1}), **hash_of("y", T0 - SECOND, {"b": 2})}
    assert (writer.written[time_field("y")], writer.skipped[time_field("x")]) == (1, 1)


def test_overwriting_looks_at_nothing(server, redis):
    write(server.address, batch("stats", rows_of(10)))
    write(server.address, batch("stats", rows_of(10, T0 - SECOND, 2.0)), overwrite=True)
    assert redis.hgetall(key_of(0)) == hash_of("stats", T0 - SECOND, {"a": 2.0, "b": 0})


@every_mode
def test_of_rows_with_one_key_in_a_batch_the_newest_stays(server, redis, mode):
    rows = [(1, T0, {"a": 1}), (2, T0, {"a": 1}), (1, T0 + 5, {"a": 2}), (1, T0 + 5, {"a": 3}), (1, T0 + 2, {"a": 4})]
    write(server.address, batch("stats", rows), limits=SMALL, **mode)
    assert redis.hgetall(key_of(1)) == hash_of("stats", T0 + 5, {"a": 3})


@careful_modes
def test_an_older_row_does_not_overtake_one_under_way(server, redis, mode):
    batches = [batch("stats", rows_of(8, T0 + shift, float(shift))) for shift in (1, 5, 3, 4, 0)]
    write(server.address, *batches, limits=SMALL, **mode)
    assert redis.hgetall(key_of(0)) == hash_of("stats", T0 + 5, {"a": 5.0, "b": 0})


@careful_modes
@pytest.mark.parametrize("micros", [0, 1, -1, -SECOND, 999_999, SECOND, 2**33 * SECOND, -(2**35) * SECOND + 1])
def test_event_times_are_compared_as_numbers(server, redis, mode, micros):
    for shift in (-1, 0, 1):
        redis.flushall()
        redis.hset(key_of(1), time_field("stats"), stamp_of(micros))
        writer = write(server.address, batch_at(micros + shift), **mode)
        assert writer.written[time_field("stats")] == (shift >= 0)


def stamp_of(micros: int) -> bytes:
    """Without the limits of a datetime."""
    return Timestamp(seconds=micros // SECOND, nanos=micros % SECOND * 1000).SerializeToString()


def batch_at(micros: int) -> Encoded:
    body = resp.bulks(b"abcd", b"1", time_field("stats"), stamp_of(micros))
    part = Part(time_field("stats"), np.array([micros]), None, pa.array([body]), 4, (b"abcd", time_field("stats")))
    return Encoded(pa.array([key_of(1)]), (part,))


@careful_modes
def test_nanoseconds_that_others_wrote_count(server, redis, mode):
    redis.hset(key_of(1), time_field("stats"), Timestamp(seconds=T0 // SECOND, nanos=1).SerializeToString())
    assert write(server.address, batch_at(T0), **mode).skipped[time_field("stats")] == 1


@careful_modes
@pytest.mark.parametrize(
    "text", [b"\x08", b"\x08\xff", b"nonsense", b"\x10\x80", b"\x08" + b"\xff" * 11, b"\x08\x01\x18\x01"]
)
def test_what_is_no_time_counts_as_none(server, redis, mode, text):
    redis.hset(key_of(1), time_field("stats"), text)
    assert write(server.address, batch_at(T0), **mode).written[time_field("stats")] == 1


@given(
    st.lists(
        st.none() | st.integers(-(2**53), 2**53).flatmap(lambda s: st.tuples(st.just(s), st.integers(0, 999_999_999)))
    )
)
def test_decoding_is_protobuf_s(times):
    values = [None if time is None else Timestamp(seconds=time[0], nanos=time[1]).SerializeToString() for time in times]
    decoded = stored_times.decode(values)
    assert decoded.known.tolist() == [time is not None for time in times]
    assert list(zip(decoded.seconds.tolist(), decoded.nanos.tolist(), strict=True)) == [
        time or (0, 0) for time in times
    ]


views = st.sampled_from(["x", "y"])
writes = st.lists(
    st.tuples(views, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=9)), max_size=8
)


@given(writes, st.sampled_from(list(CAREFUL.values())), st.integers(1, 4), st.integers(1, 4))
def test_whatever_the_order_the_newest_stays(server, steps, mode, rows, pieces):
    model: dict[tuple[str, int], tuple[int, float]] = {}
    numbers = itertools.count()
    with (
        server.client() as redis,
        open_writer(server.address, limits=Limits(rows=rows, pieces=pieces), **mode) as writer,
    ):
        redis.flushall()
        for view, items in steps:
            made = [(entity, T0 + shift, {"a": float(next(numbers))}) for entity, shift in items]
            for entity, micros, features in made:
                if micros >= model.get((view, entity), (0, 0))[0]:
                    model[view, entity] = micros, features["a"]
            writer.write(batch(view, made))
        writer.flush()
        total = sum(len(items) for _, items in steps)
        assert sum(writer.written.values()) + sum(writer.skipped.values()) == total
        for (view, entity), (micros, value) in model.items():
            stored = redis.hgetall(key_of(entity))
            assert hash_of(view, micros, {"a": value}).items() <= stored.items()


@given(writes, st.data())
def test_atomic_writers_do_not_undo_each_other(server, steps, data):
    best: dict[tuple[str, int], int] = {}
    limits = Limits(rows=2, pieces=3)
    with (
        server.client() as redis,
        open_writer(server.address, atomic=True, limits=limits) as one,
        open_writer(server.address, atomic=True, limits=limits) as other,
    ):
        redis.flushall()
        for view, items in steps:
            writer = data.draw(st.sampled_from([one, other]))
            writer.write(batch(view, [(entity, T0 + shift, {"a": shift}) for entity, shift in items]))
            for entity, shift in items:
                best[view, entity] = max(best.get((view, entity), 0), shift)
        one.flush()
        other.flush()
        for (view, entity), shift in best.items():
            stored = redis.hgetall(key_of(entity))
            assert hash_of(view, T0 + shift, {"a": shift}).items() <= stored.items()


@every_mode
def test_values_larger_than_any_buffer_go_through(server, redis, mode):
    large = b"x" * 3_000_000
    body = resp.bulks(b"abcd", large, time_field("stats"), stamp(T0))
    part = Part(time_field("stats"), np.full(20, T0), None, pa.array([body] * 20), 4, (b"abcd", time_field("stats")))
    with open_writer(server.address, **mode) as writer:
        writer.write(Encoded(pa.array([key_of(entity) for entity in range(20)]), (part,)))
        assert len(writer._pipeline.under_way) <= Limits().pieces  # noqa: SLF001 - memory is bounded by what is under way
    assert redis.hget(key_of(19), "abcd") == large


def test_a_wide_view_is_more_than_a_script_unpacks_at_once(server, redis):
    features = {f"f{number}": float(number) for number in range(9000)}
    write(server.address, batch("wide", [(1, T0, features)]), atomic=True)
    assert redis.hgetall(key_of(1)) == hash_of("wide", T0, features)


@every_mode
def test_a_batch_without_rows_is_no_work(server, redis, mode):
    empty = piece(batch("stats", rows_of(1)), 0, 0)
    absent = narrowed(joint_batch([1], {"x": [(T0, {"a": 1})]}), np.array([[False]]))
    assert not any(write(server.address, empty, absent, **mode).written.values())
    assert redis.dbsize() == 0


@every_mode
def test_a_full_server_refuses_and_keeps_what_it_has(server, redis, mode):
    write(server.address, batch("stats", rows_of(10)), **mode)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxmemory", 1)
    with pytest.raises(WriteRefused, match=r"OOM.*raise `maxmemory`"):
        write(server.address, batch("stats", rows_of(10, T0 + 1)), **mode)
    assert redis.dbsize() == 10
    redis.config_set("maxmemory", 0)
    assert redis.hgetall(key_of(0)) == hash_of("stats", T0, {"a": 1.0, "b": 0})


@every_mode
def test_another_application_s_key_is_left_alone(server, redis, mode):
    redis.set(key_of(3), "mine")
    with pytest.raises(WriteRefused, match=r"WRONGTYPE.*database"):
        write(server.address, batch("stats", rows_of(10)), **mode)
    assert redis.get(key_of(3)) == b"mine"


@every_mode
def test_a_user_with_the_rights_that_it_takes_can_write(server, redis, mode):
    rights = ["+hget", "+hmget", "+hset", "+evalsha", "+script|load", "+info", "+select"]
    redis.execute_command("ACL", "SETUSER", "copier", "reset", "on", ">" + PASSWORD, "~*", *rights)
    address = RedisAddress(server.address.host, server.port, "copier", PASSWORD, db=0)
    assert write(address, batch("stats", rows_of(10)), **mode).written[time_field("stats")] == 10


@every_mode
def test_a_user_without_them_is_refused(server, redis, mode):
    redis.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">" + PASSWORD, "~*", "+@read", "+info")
    address = RedisAddress(server.address.host, server.port, "reader", PASSWORD)
    with pytest.raises(WriteRefused, match=r"NOPERM.*grant") as caught:
        write(address, batch("stats", rows_of(10)), **mode)
    assert PASSWORD not in str(caught.value)


def test_a_wrong_password_is_not_tried_again(server):
    address = RedisAddress(server.address.host, server.port, password="hush\r\nhush")
    with pytest.raises(StoreUnavailable, match=r"does not let us in: .*WRONGPASS|invalid") as caught:
        write(address)
    assert "hush" not in str(caught.value)


def test_a_server_that_is_not_there_is_waited_for_as_long_as_patience_lasts(tmp_path):
    gone = RedisProcess(Path(tmp_path))
    with pytest.raises(StoreUnavailable, match="does not answer"):
        write(gone.address, limits=Limits(patience=0.5))


def test_a_database_is_chosen(server, redis):
    address = RedisAddress(server.address.host, server.port, password=PASSWORD, db=3)
    write(address, batch("stats", rows_of(5)))
    with server.client(db=3) as third:
        assert (redis.dbsize(), third.dbsize()) == (0, 5)


def test_redis_py_s_socket_is_where_it_was(server):
    client = connection.client_for(server.address, 5.0)
    made = connection.dial(client)
    try:
        assert connection.ask(made, "PING") == b"PONG"
        taken = connection.socket_of(made)
        taken.sendall(b"*1\r\n$4\r\nPING\r\n")
        assert taken.recv(100) == b"+PONG\r\n"
    finally:
        made.disconnect()
        client.close()


def test_scripts_go_by_the_digest_that_redis_gives_them(redis):
    ours = (scripts.NEWEST, scripts.RAISE)
    assert [redis.script_load(script.text).encode() for script in ours] == [script.sha for script in ours]


def test_a_server_that_lost_our_scripts_gets_them_again(server, redis):
    with open_writer(server.address, atomic=True, limits=SMALL) as writer:
        writer.write(batch("stats", rows_of(10)))
        writer.flush()
        redis.script_flush()
        writer.write(batch("stats", rows_of(10, T0 + 1)))
        writer.flush()
        assert writer.written[time_field("stats")] == 20


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=30), st.integers(0, 29))
def test_bulk_strings_are_redis_py_s(values, start):
    array = pa.array(values, pa.binary())[start:]
    expected = [b"$%d\r\n%b\r\n" % (len(value), value) for value in values[start:]]
    assert resp.bulk_array(array).to_pylist() == expected
    assert bytes(resp.flat(resp.bulk_array(array))) == b"".join(expected)
    if expected:
        groups = resp.grouped(resp.bulk_array(array), np.arange(0, len(expected), 4))
        assert groups.to_pylist() == [b"".join(expected[at : at + 4]) for at in range(0, len(expected), 4)]


@contextmanager
def answering(answer: bytes) -> Iterator[RedisAddress]:
    """A server that lets everybody in and answers rows with this."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=converse, args=[connection], daemon=True).start()

    def converse(connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with suppress(OSError), connection:
            while received := connection.recv(65536):
                reader.feed(received)
                while words := reader.gets():
                    connection.sendall({b"HGET": answer, b"INFO": b"$0\r\n\r\n"}.get(words[0], b"+OK\r\n"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield RedisAddress("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (
            b"-ERR unknown command `HGET`, with args beginning with: `secret`\r\n",
            WriteRefused,
            "unknown command `HGET`$",
        ),
        (b"-MISCONF no disk\r\n", WriteRefused, "look at the server's disk"),
        (b"-OOM command not allowed\r\n", WriteRefused, "maxmemory"),
        (b"-MOVED 7 other:6379\r\n", WriteRefused, "part of a Redis Cluster"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", StoreUnavailable, "lost its master"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", StoreUnavailable, "cluster is down"),
        (b"-TRYAGAIN Multiple keys\r\n", StoreUnavailable, "on its way"),
        (b"-LOADING Redis is loading\r\n", StoreUnavailable, "loading its data"),
        (b"nonsense\r\n", StoreUnavailable, "no answer: "),
        (b"$-1\r\n" * 2, StoreUnavailable, "more answers"),
        (b"", StoreUnavailable, "no answer for"),
    ],
)
def test_answers_that_are_none(answer, error, told):
    limits = Limits(patience=0.3, timeout=5)
    with answering(answer) as address, pytest.raises(error, match=told):
        write(address, batch("x", rows_of(1)), limits=limits)
