"""Real Feast, real PostgreSQL, real Redis: one pair of servers for all tests, a database and a Redis database for each.

Feast takes seconds to import. This process does it once; children are forks of a zygote (see `zygote`), but for the
tests that start theirs as users do.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

sys.path.append(str(Path(__file__).parent))

from online_stores import MODES, online_store
from world import World
from zygote import Zygote

from factories import a_project, defined
from featureplane.local.stores import embedded_stores
from featureplane.model.feast_project import FeastProject
from featureplane.registry import channel
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.settings import RedisAddress, Stores

_numbers = itertools.count(1)


# The audit table's refuse to have it emptied.
_WITHOUT_TRIGGERS = "SET session_replication_role = replica"


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.fixture(scope="session")
def servers(zygote: Zygote) -> Iterator[Stores]:
    """PostgreSQL and Redis; the zygote imports Feast meanwhile."""
    with embedded_stores(None, search_path=os.environ.get("PATH", os.defpath)) as stores:
        yield stores


@pytest.fixture(scope="session", autouse=True)
def warm_children(zygote: Zygote) -> Iterator[None]:
    """Children of ours are forks of the zygote."""
    patch = pytest.MonkeyPatch()
    names = {name: getattr(subprocess, name) for name in ("PIPE", "DEVNULL", "TimeoutExpired")}
    patch.setattr(channel, "subprocess", SimpleNamespace(Popen=zygote.popen, **names))
    yield
    patch.undo()


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of ours start as they do for users."""
    monkeypatch.setattr(channel, "subprocess", subprocess)


@pytest.fixture
def admin(servers: Stores) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the server's own database."""
    with psycopg.connect(autocommit=True, **servers.postgres.keywords) as connection:
        yield connection


@pytest.fixture(scope="session")
def template(servers: Stores, warm_children: None) -> str:
    """A database with Feast's tables and ours and nothing in them: copying it is faster than making them."""
    stores = Stores(servers.postgres.with_database("template_of_tests"), servers.redis)
    with Writer(FeastProject.model_validate(a_project()), stores) as writer:
        writer.apply(compare("feast", defined(a_project()), Registered()))
    with psycopg.connect(**stores.postgres.keywords) as connection:
        connection.execute(_WITHOUT_TRIGGERS)
        connection.execute(f"TRUNCATE {', '.join(_tables(connection))} RESTART IDENTITY")
    return stores.postgres.dbname


@pytest.fixture(scope="session")
def make_bare_world(
    servers: Stores, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., World]]:
    """Projects of their own; without a `database` to use, on one that is not there yet."""
    made: list[World] = []

    def make(database: str = "") -> World:
        number = next(_numbers)
        stores = Stores(
            servers.postgres.with_database(database or f"t{number}"), replace(servers.redis, db=number % 16)
        )
        made.append(World(stores, zygote, tmp_path_factory.mktemp("world")))
        made[-1].redis.flushdb()
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(scope="session")
def used() -> list[str]:
    """Databases of tests that ended, emptied: to use one again is faster than to copy the template."""
    return []


@pytest.fixture(scope="session")
def make_world(
    make_bare_world: Callable[..., World], servers: Stores, template: str, used: list[str]
) -> Callable[[], World]:
    """Projects of their own on a database each that has its tables and nothing in them."""

    def make() -> World:
        if used:
            return make_bare_world(used.pop())
        world = make_bare_world()
        with psycopg.connect(autocommit=True, **servers.postgres.keywords) as connection:
            connection.execute(f"CREATE DATABASE {world.stores.postgres.dbname} TEMPLATE {template}")
        return world

    return make


@pytest.fixture
def world(make_world: Callable[[], World], used: list[str]) -> Iterator[World]:
    made = make_world()
    yield made
    made.close()
    with psycopg.connect(autocommit=True, **made.stores.postgres.keywords) as connection:
        connection.execute(_WITHOUT_TRIGGERS)
        connection.execute(";".join(f"DELETE FROM {table}" for table in _tables(connection)))
    used.append(made.stores.postgres.dbname)


@pytest.fixture
def bare_world(make_bare_world: Callable[..., World]) -> Iterator[World]:
    made = make_bare_world()
    yield made
    made.close()


def _tables(connection: psycopg.Connection) -> list[str]:
    """Feast's tables and ours, but for those that say which tables there are."""
    return [
        name
        for (name,) in connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname IN ('public', 'featureplane') AND tablename NOT IN ('schema_info', 'alembic_version')"
        )
    ]


@pytest.fixture(params=MODES, scope="module")
def online(
    request: pytest.FixtureRequest, servers: Stores, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RedisAddress, Any]]:
    """An online store of each mode, and a client of ours."""
    with online_store(request.param, servers, tmp_path_factory.mktemp(request.param)) as found:
        yield found
