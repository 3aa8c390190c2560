"""Run by Alembic with the connection that `schema.migrate` puts into its configuration."""

from alembic import context

from featureplane import names
from featureplane.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=names.SCHEMA,
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
