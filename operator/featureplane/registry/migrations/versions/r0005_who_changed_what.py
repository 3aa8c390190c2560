"""Who changed what and when: a table that PostgreSQL itself lets nobody change."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCHEMA = "featureplane"
_REFUSED = """
CREATE FUNCTION featureplane.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'featureplane.audit is only added to: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$
"""
_ROWS = """
CREATE TRIGGER audit_rows BEFORE UPDATE OR DELETE ON featureplane.audit
FOR EACH ROW EXECUTE FUNCTION featureplane.refuse_audit_change()
"""
_TABLE = """
CREATE TRIGGER audit_table BEFORE TRUNCATE ON featureplane.audit
FOR EACH STATEMENT EXECUTE FUNCTION featureplane.refuse_audit_change()
"""


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        *(_text(name) for name in ("project", "kind", "name", "action")),
        _text("digest_before", nullable=True),
        _text("digest_after", nullable=True),
        *(_text(name) for name in ("difference", "body", "manager", "via", "object", "uid", "resource_version")),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index("audit_by_object", "audit", ["project", "kind", "name", "id"], schema=_SCHEMA)
    for statement in (_REFUSED, _ROWS, _TABLE, f"REVOKE ALL ON {_SCHEMA}.audit FROM PUBLIC"):
        op.execute(sa.text(statement))
    # A release of level 1 still works with it.
    op.execute(sa.text(f"UPDATE {_SCHEMA}.schema_info SET level = 5"))  # noqa: S608 - constant
