"""Rows that came late, runs that are noted once, which of a Job's pods copies which view, and whose rows may expire."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"


def _now() -> sa.Column[object]:
    return sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True, nullable=False)


def upgrade() -> None:
    op.add_column("runs", sa.Column("rows_late", sa.BigInteger), schema=_SCHEMA)
    op.create_index("runs_once", "runs", ["project", "view", "job", "started_at"], unique=True, schema=_SCHEMA)
    op.create_table(
        "shard_assignments",
        _key("project"),
        _key("job"),
        _key("view"),
        sa.Column("shard", sa.Integer, nullable=False),
        _now(),
        schema=_SCHEMA,
    )
    op.create_table("expiring_entities", _key("project"), _key("join_keys"), _now(), schema=_SCHEMA)
    # A release of level 1 still works with it.
    op.execute(sa.text(f"UPDATE {_SCHEMA}.schema_info SET level = 2"))  # noqa: S608 - constant
