"""Stores that cannot be used: the FeastProject says which Secret and host, also in `kubectl get`, and no password."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cluster.api import Api, message, path
from cluster.faults import Database, sql
from cluster.place import Place, a_place, postgres_secret, secret
from cluster.recovery import a_view
from data.writing.redis_processes import RedisProcess
from factories import a_project
from kube.guard import Cluster
from patience import until
from ports import free_port

PASSWORD = "n0b0dy-may-see-this"
# Nothing but what is tested makes the operator look again.
QUIET = {"FEATUREPLANE_RESYNC_SECONDS": "3600"}
VIEW = a_view("first")


def shown(place: Place) -> str:
    """What `kubectl get fproj` prints."""
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = place.api.http.get(path(a_project(), place.namespace, named=False), headers=headers).json()
    narrow = [number for number, column in enumerate(table["columnDefinitions"]) if column["priority"] == 0]
    return " ".join(str(row["cells"][number]) for row in table["rows"] for number in narrow)


def assert_said(place: Place, reason: str, *words: str) -> None:
    """The project is not ready for this reason, its message and its line have these words, and none the password."""

    def is_said() -> bool:
        said = message(place.wait_for(a_project(), "Ready", "False", reason), "Ready")
        missing = [word for word in words if word not in said or word not in shown(place)]
        assert not missing, said
        return True

    until(is_said)
    project = place.get(a_project())
    events = place.api.list("v1", "Event", place.namespace)
    told = json.dumps([project, place.get(VIEW), events]) + place.operators[-1].words
    assert PASSWORD not in told


# --- Redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    made = RedisProcess(tmp_path / "redis", {"requirepass": "another"})
    yield made
    made.kill()


def online(port: int, password: str = PASSWORD, **more: str) -> dict[str, Any]:
    return secret("feast-online", {"host": "127.0.0.1", "port": str(port), "password": password, **more})


def test_a_secret_of_the_online_store_that_is_missing_is_named(place: Place):
    place.api.delete(online(0), place.namespace)
    place.apply(a_project(), VIEW)
    place.operator(QUIET)
    assert_said(place, "SecretNotFound", "there is no Secret 'feast-online'")
    place.wait_for(VIEW, "Registered")  # all the same
    place.api.create({**online(0), "stringData": {"password": PASSWORD}}, place.namespace)
    assert_said(place, "SecretIncomplete", "the Secret 'feast-online' has no key 'host'")


def test_a_redis_that_is_away_is_named_until_it_is_there(place: Place, redis: RedisProcess):
    place.apply(online(redis.port), a_project(), VIEW)
    place.operator(QUIET)
    there = f"127.0.0.1:{redis.port}"
    assert_said(place, "OnlineStoreUnavailable", there, "nothing listens at its address", "'feast-online'")
    redis.start(wait=False)
    assert_said(place, "OnlineStoreUnavailable", there, "refuses the user's name or password", "'feast-online'")
    place.apply(online(redis.port, "another"))
    place.wait_for(a_project(), "Ready", "False", "NotReady")  # no pod of the server ever runs here
    assert place.get(a_project())["status"]["onlineStore"] == {"state": "Ready"}
    redis.kill()
    assert_said(place, "OnlineStoreUnavailable", there, "'feast-online'")


# --- PostgreSQL


@pytest.fixture
def other(kube: Cluster, api: Api, database: Database, tmp_path: Path) -> Iterator[Place]:
    """A namespace with a PostgreSQL that may be spoiled."""
    with a_place(kube, api, database.stores, tmp_path) as made:
        yield made


@contextmanager
def somebody(database: Database) -> Iterator[str]:
    """A role that is asked for its password and may have one connection."""
    name = f"somebody_{os.urandom(4).hex()}"
    rules = Path(database.stores.postgres.keywords["host"], "pg_hba.conf")
    before = rules.read_text()
    with sql(database.stores.postgres.with_database("postgres")) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEDB CONNECTION LIMIT 1 PASSWORD 'right'")
        rules.write_text(f"local all {name} scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield name
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


def registry(place: Place, **changes: str) -> dict[str, Any]:
    return secret("feast-registry", {**postgres_secret(place.stores.postgres), **changes})


def test_a_password_that_postgres_refuses_is_said(other: Place, database: Database):
    with somebody(database) as name:
        other.apply(registry(other, user=name, password=PASSWORD), a_project(), VIEW)
        other.operator(QUIET)
        host = other.stores.postgres.keywords["host"]
        assert_said(other, "RegistryUnavailable", host, f'failed for user "{name}"', "'feast-registry'")


def test_a_postgres_that_nobody_reaches_is_named(place: Place):
    port = free_port()
    place.apply(registry(place, host="127.0.0.1", port=str(port), password=PASSWORD), a_project(), VIEW)
    place.operator(QUIET)
    assert_said(place, "RegistryUnavailable", f"127.0.0.1:{port}", "refused", "'feast-registry'")


def test_a_role_with_no_connection_left_is_said_until_there_is_one(other: Place, database: Database):
    with somebody(database) as name:
        keywords = {**other.stores.postgres.keywords, "user": name, "password": "right"}
        with psycopg.connect(**{**keywords, "dbname": "postgres"}):
            other.apply(registry(other, user=name, password="right"), a_project(), VIEW)
            other.operator(QUIET)
            assert_said(other, "RegistryUnavailable", f'too many connections for role "{name}"', "'feast-registry'")
        with sql(other.stores.postgres.with_database("postgres")) as connection:
            connection.execute(f"ALTER ROLE {name} CONNECTION LIMIT 50")
        other.wait_for(VIEW, "Registered")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB, for a tablespace."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be made here: {made.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_postgres_whose_disk_is_full_is_said_until_it_has_room(other: Place, small: Path):
    folder = small / "space"
    folder.mkdir()
    owner = Path(other.stores.postgres.keywords["host"]).stat()
    for each in (folder, small):
        os.chown(each, owner.st_uid, owner.st_gid)
    other.apply(a_project(), VIEW)
    other.operator(QUIET)
    other.wait_for(VIEW, "Registered")
    with sql(other.stores.postgres) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        connection.execute("ALTER TABLE featureplane.definitions SET TABLESPACE small")
    filler = small / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    many = [a_view(f"view-{number}", description="x" * 500) for number in range(30)]
    other.apply(*many)
    assert_said(other, "RegistryUnavailable", "has no room", "No space left on device", "'feast-registry'")
    filler.unlink()
    for item in (VIEW, *many):
        until(lambda item=item: other.wait_for(item, "Registered"))
