"""What a run knew of the registry when its window was chosen."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"


def upgrade() -> None:
    op.add_column("runs", sa.Column("seen_change", sa.BigInteger), schema=_SCHEMA)
    # A release of level 1 still works with it.
    op.execute(sa.text(f"UPDATE {_SCHEMA}.schema_info SET level = 3"))  # noqa: S608 - constant
