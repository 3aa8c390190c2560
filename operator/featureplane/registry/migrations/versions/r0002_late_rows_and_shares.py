"""Rows that came late, and who of a Job's pods copies which view."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"


def upgrade() -> None:
    op.add_column("runs", sa.Column("rows_late", sa.BigInteger), schema=_SCHEMA)
    op.create_table(
        "shares",
        sa.Column("project", sa.Text, primary_key=True, nullable=False),
        sa.Column("job", sa.Text, primary_key=True, nullable=False),
        sa.Column("view", sa.Text, primary_key=True, nullable=False),
        sa.Column("share", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=_SCHEMA,
    )
    # A release of level 1 still works with it.
    op.execute(sa.text(f"UPDATE {_SCHEMA}.schema_info SET level = 2"))  # noqa: S608 - constant
