"""PostgreSQL missing, refusing, failing in the middle; and what is said of it, which is never a password."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql
from world import World

from factories import Object, a_feature_view, a_project
from featureplane.errors import RegistryError, StoreUnavailable
from featureplane.registry.database import begin, engine_for, ensure_database
from featureplane.registry.writer import Writer
from featureplane.settings import PostgresAddress, RedisAddress, Stores

PASSWORD = "p@ss w0rd:/%'\"\\${HOME},é=?#&"
MANY = 60
MORE_THAN_A_BATCH = 120
STALL_AFTER_THE_FIRST_BATCH = """
    CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM feature_views) > 100 THEN PERFORM pg_sleep(60); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER stall BEFORE INSERT ON feature_views FOR EACH ROW EXECUTE FUNCTION stall();
"""


def databases(admin: psycopg.Connection) -> set[str]:
    return {name for (name,) in admin.execute("SELECT datname FROM pg_database")}


def everything_said(error: BaseException | None) -> str:
    """An error as any log may show it, with all that led to it."""
    words = []
    while error is not None:
        words += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(words)


class TestMissing:
    @pytest.fixture
    def world(self, bare_world: World) -> World:
        return bare_world

    def test_a_missing_database_is_made(self, world: World, admin: psycopg.Connection) -> None:
        assert world.stores.postgres.dbname not in databases(admin)
        world.writer().open()
        assert world.stores.postgres.dbname in databases(admin)

    def test_a_missing_database_is_not_made_where_the_project_says_so(
        self, world: World, admin: psycopg.Connection
    ) -> None:
        project = a_project(registry={"postgresql": {"createDatabase": False}})
        writer = world.writer(world.declarations(project).project, attempts=1)
        with pytest.raises(StoreUnavailable, match=f'database "{world.stores.postgres.dbname}" does not exist'):
            writer.open()
        assert world.stores.postgres.dbname not in databases(admin)

    def test_making_it_says_who_made_it(self, world: World) -> None:
        assert [ensure_database(world.stores.postgres) for _ in range(2)] == [True, False]

    def test_two_at_once_make_one(self, world: World) -> None:
        with ThreadPoolExecutor() as pool:
            made = list(pool.map(lambda _: ensure_database(world.stores.postgres), range(6)))
        assert sorted(made) == [False] * 5 + [True]

    def test_writers_of_two_projects_open_a_missing_database_at_once(self, world: World) -> None:
        writers = [world.writer(world.declarations(a_project(project=f"p{n}")).project) for n in range(3)]
        with ThreadPoolExecutor() as pool:
            assert list(pool.map(Writer.open, writers)) == [1, 1, 1]

    def test_a_name_that_needs_quotes_is_made(self, world: World, admin: psycopg.Connection) -> None:
        name = f'{world.stores.postgres.dbname} "so" -- é'
        assert ensure_database(world.stores.postgres.with_database(name))
        assert name in databases(admin)


class TestRefused:
    @pytest.fixture
    def world(self, bare_world: World) -> World:
        return bare_world

    @pytest.fixture
    def role(self, world: World, admin: psycopg.Connection) -> PostgresAddress:
        """A role that may log in and nothing else."""
        name = f"role_{uuid.uuid4().hex}"
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        return PostgresAddress({**world.stores.postgres.keywords, "user": name})

    def test_a_role_that_may_not_create_the_database_is_told_what_to_do(self, role: PostgresAddress) -> None:
        with pytest.raises(
            StoreUnavailable, match="this role may not create it; create it, or grant the role CREATEDB"
        ):
            ensure_database(role)

    def test_a_role_that_may_not_create_our_schema_is_told_so_at_once(
        self, world: World, role: PostgresAddress
    ) -> None:
        ensure_database(world.stores.postgres)
        with pytest.raises(RegistryError, match="permission denied for database"):
            world.of(replace(world.stores, postgres=role)).open()

    def test_a_role_that_owns_the_database_needs_no_more(self, world: World, role: PostgresAddress) -> None:
        ensure_database(world.stores.postgres)
        with world.sql() as connection:
            owner = sql.Identifier(role.keywords["user"])
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(role.dbname), owner))
        writer = world.of(replace(world.stores, postgres=role))
        writer.apply(world.plan(a_feature_view()))
        assert world.plan(a_feature_view()).is_empty

    def test_a_read_only_database_is_called_so_at_once(self, world: World) -> None:
        world.apply(a_feature_view())
        plan = world.plan(a_feature_view(ttl="1d"))
        before = world.rows()
        with world.sql() as connection:
            name = sql.Identifier(world.stores.postgres.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        with pytest.raises(RegistryError, match="read-only transaction"):
            world.writer().apply(plan)
        assert world.rows() == before


class TestUnreachable:
    def test_a_host_that_does_not_answer_is_named(self, world: World) -> None:
        stores = self.elsewhere({"host": "127.0.0.1", "port": "1", "user": "u", "password": PASSWORD, "dbname": "d"})
        with pytest.raises(StoreUnavailable, match=r"postgresql://127\.0\.0\.1:1/d does not answer") as raised:
            world.of(stores, attempts=1).open()
        assert PASSWORD not in everything_said(raised.value)

    def test_a_name_that_nobody_knows_is_named(self) -> None:
        address = PostgresAddress({"host": "nowhere.invalid", "dbname": "d"})
        with pytest.raises(StoreUnavailable, match=r"postgresql://nowhere\.invalid:5432/d"):
            ensure_database(address)

    def test_reading_says_the_same(self) -> None:
        address = PostgresAddress({"host": "127.0.0.1", "port": "1", "password": PASSWORD, "dbname": "d"})
        with (
            pytest.raises(StoreUnavailable, match=r"postgresql://127\.0\.0\.1:1/d does not answer") as raised,
            begin(engine_for(address), address),
        ):
            pass
        assert PASSWORD not in everything_said(raised.value)

    @pytest.mark.parametrize("show", [str, repr])
    def test_nothing_shows_the_password(self, world: World, show: Any) -> None:
        stores = self.elsewhere({"host": "h", "password": PASSWORD})
        writer = Writer(world.declarations().project, stores)
        shown = [show(item) for item in (stores, stores.postgres, stores.redis, writer, engine_for(stores.postgres))]
        assert not [text for text in shown if "p@ss" in text]

    @staticmethod
    def elsewhere(keywords: dict[str, str]) -> Stores:
        return Stores(PostgresAddress(keywords), RedisAddress(password=PASSWORD))


class TestPassword:
    @pytest.fixture
    def role(self, world: World, admin: psycopg.Connection) -> Iterator[PostgresAddress]:
        """A role that must give its password, with all that libpq, a URL or a shell could stumble on."""
        ensure_database(world.stores.postgres)
        name = f"secret_{uuid.uuid4().hex}"
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}").format(sql.Identifier(name), sql.Literal(PASSWORD))
        )
        ((file, text),) = admin.execute("SELECT p, pg_read_file(p) FROM current_setting('hba_file') p").fetchall()
        write = sql.SQL("COPY (SELECT unnest(string_to_array({}, chr(10)))) TO {}")
        admin.execute(write.format(sql.Literal(f"local all {name} scram-sha-256\n{text}"), sql.Literal(file)))
        admin.execute("SELECT pg_reload_conf()")
        yield PostgresAddress({**world.stores.postgres.keywords, "user": name, "password": PASSWORD})
        admin.execute(write.format(sql.Literal(text), sql.Literal(file)))
        admin.execute("SELECT pg_reload_conf()")

    def test_a_password_may_hold_any_character(self, world: World, role: PostgresAddress) -> None:
        writer = world.of(replace(world.stores, postgres=role))
        writer.apply(world.plan(a_feature_view()))
        assert world.plan(a_feature_view()).is_empty

    def test_a_wrong_password_is_said_without_it(self, world: World, role: PostgresAddress) -> None:
        wrong = PostgresAddress({**role.keywords, "password": PASSWORD + "x"})
        with pytest.raises(StoreUnavailable, match="password authentication failed") as raised:
            world.of(replace(world.stores, postgres=wrong), attempts=1).open()
        assert str(wrong) in str(raised.value)
        assert "p@ss" not in everything_said(raised.value)


class TestFailingInTheMiddle:
    def views(self) -> list[Object]:
        return [a_feature_view(f"v{number}") for number in range(MANY)]

    def test_connections_that_are_cut_are_opened_again(self, world: World, admin: psycopg.Connection) -> None:
        plan = world.plan(*self.views())
        cut = threading.Event()

        def cut_once(_done: int, _total: int) -> None:
            if not cut.is_set():
                cut.set()
                self.cut(world, admin)

        world.the_writer.apply(plan, cut_once)
        assert cut.is_set()
        world.assert_nothing_is_half_done()
        assert world.plan(*self.views()).is_empty

    def test_idle_connections_that_are_cut_are_opened_again(self, world: World, admin: psycopg.Connection) -> None:
        world.apply(a_feature_view())
        world.engine.dispose()
        self.cut(world, admin)
        world.apply(a_feature_view(ttl="1d"))
        assert world.plan(a_feature_view(ttl="1d")).is_empty

    def test_a_server_that_is_away_for_a_moment_is_waited_for(self, world: World, admin: psycopg.Connection) -> None:
        plan = world.plan(a_feature_view())
        world.the_writer.open()
        self.allow(world, admin, connections=False)
        back = threading.Timer(0.3, self.allow, [world, admin], {"connections": True})
        back.start()
        world.the_writer.apply(plan)
        back.join()
        assert world.plan(a_feature_view()).is_empty

    def test_a_server_that_stays_away_is_reported_and_nothing_is_half_done(
        self, world: World, admin: psycopg.Connection
    ) -> None:
        views = [a_feature_view(f"v{number}") for number in range(MORE_THAN_A_BATCH)]
        writer = world.writer(attempts=1)
        plan = world.plan(*views)
        writer.open()
        with world.sql() as connection:
            # Where the test is slow, everything would be written before the server goes.
            connection.execute(STALL_AFTER_THE_FIRST_BATCH)
        with pytest.raises(StoreUnavailable, match=str(world.stores.postgres)):
            writer.apply(plan, lambda _done, _total: self.allow(world, admin, connections=False))
        self.allow(world, admin, connections=True)
        world.assert_nothing_is_half_done()
        with world.sql() as connection:
            connection.execute("DROP FUNCTION stall() CASCADE")
        assert 0 < len(world.plan(*views).changes) < len(plan.changes)
        world.writer().apply(world.plan(*views))
        assert world.plan(*views).is_empty

    @staticmethod
    def cut(world: World, admin: psycopg.Connection) -> None:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [world.stores.postgres.dbname],
        )

    def allow(self, world: World, admin: psycopg.Connection, *, connections: bool) -> None:
        name = sql.Identifier(world.stores.postgres.dbname)
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.Literal(connections)))
        if not connections:
            self.cut(world, admin)
