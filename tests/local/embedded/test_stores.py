"""The embedded stores, with real servers: that they answer, are shared, and keep what they should."""

from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.embedded.at_work import (
    assert_all_ended,
    connect_postgres,
    connect_redis,
    embedded_stores,
    folder_of,
    read,
    servers_of,
    stores_of,
    write,
)
from patience import PATIENCE, until


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
