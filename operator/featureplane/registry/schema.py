"""Our schema's migrations, and how far apart this release and the database may be.

`schema_info` holds the level that the database was migrated to, and the oldest release's level that still works with
it. A migration only adds and raises `readable_from` a release later, so that one release of skew is always allowed.
"""

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.schema import CreateSchema

from featureplane import names
from featureplane.errors import SchemaTooNew
from featureplane.registry.database import begin
from featureplane.registry.tables import schema_info
from featureplane.settings import PostgresAddress

LEVEL = 5
# Any constant serves; the same one for every process, so that two never migrate at once.
_MIGRATION_LOCK = 254_000_001


def migrate(engine: Engine, address: PostgresAddress) -> None:
    """Bring our schema to `LEVEL`; nothing happens when it is there or beyond and still readable.

    Raises SchemaTooNew, and StoreUnavailable when the database does not answer.
    """
    with begin(engine, address) as connection:
        if is_current(connection):
            return
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(CreateSchema(names.SCHEMA, if_not_exists=True))
        if is_current(connection):  # another process migrated while this one waited
            return
        # Only who migrates needs it, which happens once in a database's life.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "featureplane.registry:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the tables are there, as this release knows them or newer and readable. Raises SchemaTooNew."""
    if not inspect(connection).has_table("schema_info", schema=names.SCHEMA):
        return False
    row = connection.execute(select(schema_info)).one()
    if row.readable_from > LEVEL:
        raise SchemaTooNew(
            f"the schema {names.SCHEMA} has level {row.level} and needs a release of level {row.readable_from}; "
            f"this one knows level {LEVEL}: upgrade Featureplane"
        )
    return bool(row.level >= LEVEL)
