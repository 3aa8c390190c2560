"""What came of comparing what is served with its sources."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"
_COUNTS = (
    "equal", "different", "missing", "stale", "late", "extra", "ahead", "pending", "values_compared", "values_equal",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "parity_checks",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False, server_default=""),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("copied_until", sa.DateTime(timezone=True)),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sa.Column("failed", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        schema=_SCHEMA,
    )
    op.create_index("parity_checks_by_view", "parity_checks", ["project", "view", "id"], schema=_SCHEMA)
    # A release of level 1 still works with it.
    op.execute(sa.text(f"UPDATE {_SCHEMA}.schema_info SET level = 4"))  # noqa: S608 - constant
