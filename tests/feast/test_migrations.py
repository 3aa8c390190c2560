"""Our schema beside Feast's tables: what the migrations build, and how far apart a release and a database may be."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from world import World

from factories import a_feature_view
from featureplane import names
from featureplane.errors import SchemaTooNew
from featureplane.registry import schema, tables
from featureplane.registry.database import begin, engine_for, ensure_database


@pytest.fixture
def world(bare_world: World) -> World:
    ensure_database(bare_world.stores.postgres)
    return bare_world


def migrate(world: World) -> None:
    schema.migrate(world.engine, world.stores.postgres)


def differences(world: World) -> Any:
    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return name == names.SCHEMA if kind == "schema" else parents["schema_name"] == names.SCHEMA

    with begin(world.engine, world.stores.postgres) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": ours,
                "version_table_schema": names.SCHEMA,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return compare_metadata(context, tables.metadata)


def test_the_migrations_build_the_tables_that_the_code_uses(world: World) -> None:
    migrate(world)
    assert differences(world) == []


def test_the_comparison_finds_a_difference(world: World) -> None:
    migrate(world)
    with world.sql() as connection:
        connection.execute("ALTER TABLE featureplane.runs DROP COLUMN message")
    assert len(differences(world)) == 1


def test_the_level_is_the_codes(world: World) -> None:
    migrate(world)
    assert world.query("SELECT level FROM featureplane.schema_info") == [(schema.LEVEL,)]


def test_migrating_twice_changes_nothing(world: World) -> None:
    migrate(world)
    before = world.rows()
    migrate(world)
    assert world.rows() == before


def test_many_at_once_migrate_once(world: World) -> None:
    engines = [engine_for(world.stores.postgres) for _ in range(5)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda engine: schema.migrate(engine, world.stores.postgres), engines))
    for engine in engines:
        engine.dispose()
    assert differences(world) == []
    assert len(world.rows()["featureplane.schema_info"]) == 1


def test_processes_at_once_migrate_once(world: World) -> None:
    writers = [world.writer() for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        epochs = list(pool.map(_opened, writers))
    assert 3 in epochs
    assert len(world.rows()["featureplane.schema_info"]) == 1


def _opened(writer: Any) -> int | None:
    from featureplane.errors import Fenced

    try:
        return writer.open()
    except Fenced:  # by another of them, before it could answer
        return None


def test_feasts_tables_are_left_alone(world: World) -> None:
    world.apply(a_feature_view())
    with world.sql() as connection:
        connection.execute("DROP SCHEMA featureplane CASCADE")
    before = world.feasts_rows()
    migrate(world)
    assert world.feasts_rows() == before


def test_a_schema_that_needs_a_newer_release_is_refused(world: World) -> None:
    world.apply(a_feature_view())
    with world.sql() as connection:
        connection.execute("UPDATE featureplane.schema_info SET level = 99, readable_from = 98")
    with pytest.raises(SchemaTooNew, match=r"has level 99 and needs a release of level 98; .* upgrade Featureplane"):
        migrate(world)


def test_a_writer_refuses_a_schema_that_needs_a_newer_release(world: World) -> None:
    world.apply(a_feature_view())
    plan = world.plan(a_feature_view(ttl="1d"))
    with world.sql() as connection:
        connection.execute("UPDATE featureplane.schema_info SET level = 99, readable_from = 98")
    before = world.rows()
    with pytest.raises(SchemaTooNew):
        world.writer().apply(plan)
    assert world.rows() == before


def test_a_newer_schema_that_this_release_can_read_passes(world: World) -> None:
    migrate(world)
    with world.sql() as connection:
        connection.execute("UPDATE featureplane.schema_info SET level = 99")
        connection.execute("ALTER TABLE featureplane.definitions ADD COLUMN what_comes_later text")
    world.apply(a_feature_view())
    assert world.plan(a_feature_view()).is_empty


def test_a_registry_that_only_feast_uses_is_read_without_our_schema(world: World) -> None:
    assert world.feast("apply", folder=world.repo(a_feature_view())).returncode == 0
    assert ("feature_view", "commodity_prices") in world.registered_keys()
    with begin(world.engine, world.stores.postgres) as connection:
        assert not connection.execute(text("SELECT to_regnamespace('featureplane')")).scalar()
