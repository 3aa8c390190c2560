"""The first tables: writers, definitions, changes, runs, purges."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"


def _time(name: str, *, now: bool = False, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=sa.func.now() if now else None)


def _text(name: str, *, key: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=False, server_default=default)


def upgrade() -> None:
    op.create_table(
        "schema_info",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("readable_from", sa.Integer, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "writers",
        _text("project", key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        _text("holder"),
        _time("taken_at", now=True),
        schema=_SCHEMA,
    )
    op.create_table(
        "definitions",
        _text("project", key=True),
        _text("kind", key=True),
        _text("name", key=True),
        _text("digest"),
        _text("body"),
        _text("owner"),
        _time("updated_at", now=True),
        schema=_SCHEMA,
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=True),
        _text("project"),
        _text("kind"),
        _text("name"),
        _text("action"),
        sa.Column("digest", sa.Text),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        _time("at", now=True),
        schema=_SCHEMA,
    )
    op.create_index("changes_by_project", "changes", ["project", "seq"], schema=_SCHEMA)
    counts = ("rows_read", "rows_written", "rows_skipped", "rows_rejected", "bytes_written")
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        _text("project"),
        _text("view"),
        _text("job"),
        _time("window_start", nullable=True),
        _time("window_end", nullable=True),
        _time("started_at"),
        _time("finished_at"),
        *(sa.Column(name, sa.BigInteger) for name in counts),
        _time("max_event_time", nullable=True),
        _text("result"),
        _text("message", default=""),
        sa.Column("folded", sa.Boolean, nullable=False, server_default="false"),
        schema=_SCHEMA,
    )
    op.create_index("runs_by_view", "runs", ["project", "view", "finished_at"], schema=_SCHEMA)
    op.create_table(
        "purges",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        _text("project"),
        _text("view"),
        _text("feature", default=""),
        _text("type", default=""),
        _text("body", default=""),
        _time("requested_at", now=True),
        _time("due_at"),
        _time("cancelled_at", nullable=True),
        _time("done_at", nullable=True),
        schema=_SCHEMA,
    )
    op.create_index("purges_by_view", "purges", ["project", "view"], schema=_SCHEMA)
    op.execute(sa.text(f"INSERT INTO {_SCHEMA}.schema_info (level, readable_from) VALUES (1, 1)"))  # noqa: S608 - constant
