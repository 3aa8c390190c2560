"""The embedded stores never outlive their owner: what happens when a process ends is tried on one of its own."""

import contextlib
import os
import signal
import subprocess
import sys

import psutil
import pytest

from featureplane.errors import LocalStoreError
from featureplane.local import record
from featureplane.settings import PostgresAddress, RedisAddress, Stores
from local.embedded.at_work import (
    a_process,
    assert_all_ended,
    connect_postgres,
    connect_redis,
    embedded_stores,
    folder_of,
    guardian_of,
    read,
    servers_of,
    stores_of,
    write,
)
from patience import PATIENCE, until


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_nothing_outlives_a_killed_process(processes, number):
    process = processes()
    folder = folder_of(stores_of(process))
    assert guardian_of(folder)
    assert len(servers_of(folder)) > 2
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)  # returns when nobody holds the pipes any more
    assert (output, errors) == ("", "")
    assert_all_ended(folder)
    until(lambda: not folder.exists())


def test_rows_survive_a_killed_process(tmp_path, processes):
    process = processes(folder=tmp_path)
    write(stores_of(process), "kept")
    process.kill()
    until(lambda: not (tmp_path / "stores.json").exists())
    with embedded_stores(tmp_path) as stores:
        assert read(stores) == ("kept", "kept")


def test_nothing_outlives_a_process_killed_while_the_stores_start(tmp_path, processes):
    process = processes(folder=tmp_path)
    until(lambda: guardian_of(tmp_path))
    process.kill()
    assert_all_ended(tmp_path)
    with embedded_stores(tmp_path) as stores:
        write(stores, "kept")


def test_a_forked_child_neither_keeps_nor_ends_the_stores(tmp_path, processes):
    script = """
with embedded_stores(folder) as stores:
    if os.fork() == 0:
        raise SystemExit        # leaves the block
    os.wait()
    if os.fork() == 0:
        time.sleep(60)          # lives on
    say(record.encode(stores))
    sys.stdin.read()
"""
    process = processes(script, folder=tmp_path, start_new_session=True)
    write(stores_of(process), "kept")
    process.kill()
    assert_all_ended(tmp_path)
    os.killpg(process.pid, signal.SIGKILL)


def test_ctrl_c_lets_the_block_end_while_the_stores_live(tmp_path, processes):
    script = """
import psycopg, redis
with embedded_stores(folder) as stores:
    try:
        say(record.encode(stores))
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.2)
        with psycopg.connect(**stores.postgres.keywords) as connection:
            connection.execute("SELECT 1")
        client = redis.Redis(stores.redis.host, stores.redis.port, password=stores.redis.password)
        client.set("after", "the interrupt")
say("clean")
"""
    process = processes(script, folder=tmp_path, start_new_session=True)
    stores_of(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=PATIENCE) == ("clean\n", "")
    assert_all_ended(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_no_server_outlives_a_killed_guardian(tmp_path):
    with pytest.raises(LocalStoreError, match=r"guardian .* was ended"), embedded_stores(tmp_path):  # noqa: PT012 - its end
        guardian_of(tmp_path).kill()
        assert_all_ended(tmp_path)


def test_the_next_start_waits_for_the_servers_of_a_killed_guardian(tmp_path):
    with contextlib.suppress(LocalStoreError), embedded_stores(tmp_path) as stores:
        write(stores, "kept")
        with connect_postgres(stores):
            killed = guardian_of(tmp_path)
            killed.kill()
            # Its command line is gone a moment before its locks are.
            until(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE)
            with embedded_stores(tmp_path) as again:
                assert again.redis.password != stores.redis.password
                assert read(again) == ("kept", "kept")
    assert_all_ended(tmp_path)


def test_a_server_left_over_by_a_killed_guardian_is_ended_by_the_next_start(tmp_path):
    """As on macOS, where no signal tells a server that its guardian died: a stopped server does not hear it either."""
    with contextlib.suppress(LocalStoreError), embedded_stores(tmp_path) as stores:
        write(stores, "kept")
        postmaster = psutil.Process(int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0]))
        postmaster.suspend()
        guardian_of(tmp_path).kill()
        until(lambda: guardian_of(tmp_path) is None)
        script = "time.sleep(1); os.kill(int(sys.stdin.readline()), signal.SIGCONT)"
        with a_process(script) as waker:
            waker.stdin.write(f"{postmaster.pid}\n")
            waker.stdin.flush()
            with embedded_stores(tmp_path) as again:
                assert read(again) == ("kept", "kept")
                assert postmaster not in servers_of(tmp_path)


def test_a_stale_record_is_not_believed(tmp_path):
    stale = Stores(PostgresAddress({"host": "/nowhere"}), RedisAddress(port=1, password="old"))
    (tmp_path / "stores.json").write_text(record.encode(stale))
    with embedded_stores(tmp_path) as stores:
        assert stores.redis.port != 1
        write(stores, "kept")
    assert not (tmp_path / "stores.json").exists()


def test_a_pid_file_that_names_a_strange_process_harms_nobody(tmp_path):
    with embedded_stores(tmp_path) as stores:
        write(stores, "kept")
        lines = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        (tmp_path / "postgres" / ".s.PGSQL.5432.lock").write_text(f"{stranger.pid}\n")
        (tmp_path / "redis" / "redis.pid").write_text(f"{stranger.pid}\n")
        with embedded_stores(tmp_path) as stores:
            assert read(stores) == ("kept", "kept")
        assert stranger.poll() is None
        stranger.kill()


def test_a_store_that_ends_on_its_own_is_reported(tmp_path):
    with (  # noqa: PT012 - the end of the block raises
        pytest.raises(LocalStoreError, match=r"Redis in .* ended on its own with code -9"),
        embedded_stores(tmp_path) as stores,
    ):
        with connect_redis(stores) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        assert_all_ended(tmp_path)
