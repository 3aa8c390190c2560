"""Our tables, in the schema `featureplane` of the registry's database; Feast's own stay as Feast makes them.

`migrations/` builds them; a test compares what it builds with what stands here.
"""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text, func

from featureplane import names

metadata = MetaData(schema=names.SCHEMA)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


# What of this schema a release understands: see `schema`.
schema_info = Table(
    "schema_info",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("readable_from", Integer, nullable=False),
)

# One row a project: who may write. A newer writer raises the epoch; an older one then finds its own gone.
writers = Table(
    "writers",
    metadata,
    Column("project", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    _now("taken_at"),
)

# What is registered and ours. `body` is canonical JSON as text: PostgreSQL's jsonb has no NUL, and free text may.
definitions = Table(
    "definitions",
    metadata,
    Column("project", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("owner", Text, nullable=False),
    _now("updated_at"),
)

# Every change, in order: servers poll it by `seq`, people read it as history.
changes = Table(
    "changes",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("digest", Text),
    Column("epoch", BigInteger, nullable=False),
    _now("at"),
    Index("changes_by_project", "project", "seq"),
)

# Who changed what: a row for each change of a definition, in one transaction with it. Only added to: triggers refuse
# all else. `difference` and `body` are canonical JSON: the fields that changed, and the definition from then on.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    _now("at"),
    Column("project", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("digest_before", Text),
    Column("digest_after", Text),
    Column("difference", Text, nullable=False),
    Column("body", Text, nullable=False),
    # See `actor.Actor`.
    Column("manager", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("uid", Text, nullable=False),
    Column("resource_version", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Index("audit_by_object", "project", "kind", "name", "id"),
)

# One row a view and run, inserted when it ended. Times are those of the window and of the run, in UTC.
runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("view", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("window_start", DateTime(timezone=True)),
    Column("window_end", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("rows_read", BigInteger),
    Column("rows_written", BigInteger),
    Column("rows_skipped", BigInteger),
    Column("rows_rejected", BigInteger),
    Column("bytes_written", BigInteger),
    Column("max_event_time", DateTime(timezone=True)),
    Column("result", Text, nullable=False),
    Column("message", Text, nullable=False, server_default=""),
    Column("folded", Boolean, nullable=False, server_default="false"),
    Column("rows_late", BigInteger),
    # The newest change that was known when the window was chosen.
    Column("seen_change", BigInteger),
    Index("runs_by_view", "project", "view", "finished_at"),
    Index("runs_once", "project", "view", "job", "started_at", unique=True),
)

# Online bytes that nobody asks for any more: a deleted view (`feature` empty) or a removed feature. Until `done_at`
# the name must not come back as another type; `cancelled_at` says that it came back as it was.
purges = Table(
    "purges",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("view", Text, nullable=False),
    Column("feature", Text, nullable=False, server_default=""),
    Column("type", Text, nullable=False, server_default=""),
    Column("body", Text, nullable=False, server_default=""),
    _now("requested_at"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("cancelled_at", DateTime(timezone=True)),
    Column("done_at", DateTime(timezone=True)),
    Index("purges_by_view", "project", "view"),
)

# Which of a Job's pods copies a view: written by the first of them, read by all.
shard_assignments = Table(
    "shard_assignments",
    metadata,
    Column("project", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("view", Text, primary_key=True),
    Column("shard", Integer, nullable=False),
    _now("at"),
)

# Entities, by their join keys, of which rows were ever written with an expiry: a view's last ttl may go, and the expiry
# of its keys must go with it.
expiring_entities = Table(
    "expiring_entities",
    metadata,
    Column("project", Text, primary_key=True),
    Column("join_keys", Text, primary_key=True),
    _now("at"),
)

# One row a view and check of what is served against its source: entities by what came of them (`parity.kinds`), and no
# value of any. `failed` says that the view could not be looked at.
parity_checks = Table(
    "parity_checks",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("view", Text, nullable=False),
    Column("job", Text, nullable=False, server_default=""),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    Column("copied_until", DateTime(timezone=True)),
    Column("equal", BigInteger, nullable=False),
    Column("different", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),
    Column("stale", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("extra", BigInteger, nullable=False),
    Column("ahead", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("values_compared", BigInteger, nullable=False),
    Column("values_equal", BigInteger, nullable=False),
    Column("failed", Boolean, nullable=False, server_default="false"),
    Column("message", Text, nullable=False, server_default=""),
    Index("parity_checks_by_view", "project", "view", "id"),
)
