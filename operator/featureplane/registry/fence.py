"""The epoch that fences a project's writers: a newer writer takes over, an older one can no longer write.

An advisory lock alone does not do: a process that is stopped for a minute and continued still believes in its lock.
Here every transaction of a writer reads the project's row `FOR SHARE` first; a takeover updates the row, so it waits
for transactions that have begun, and those that begin later find another epoch.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from featureplane.errors import Fenced
from featureplane.registry.tables import writers

# A writer's transaction takes a second or two: one that still holds the row after this long is ended, and rolled back.
_PATIENCE = "3s"
# PostgreSQL itself ends the transaction of a writer that went silent in the middle of one.
_SILENCE = "15s"
_LONGEST_NAME = 63


def application_name(project: str) -> str:
    """How a writer's connections are told apart in pg_stat_activity."""
    return f"featureplane-writer/{project}"[:_LONGEST_NAME]


def take(engine: Engine, project: str, holder: str, held: int | None = None) -> int:
    """Become the project's writer and return the new epoch; every earlier writer is fenced from now on.

    `held` is the epoch of a writer that goes on in a new process: it does so only when nobody took over meanwhile.
    Raises Fenced when somebody did.
    """
    try:
        return _raise_epoch(engine, project, holder, held)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
    with engine.begin() as connection:
        connection.execute(_END_HOLDERS, {"name": application_name(project), "relation": str(writers)})
    return _raise_epoch(engine, project, holder, held)


# Who has read the row FOR SHARE: a writer in the middle of a transaction, silent or waiting for a lock itself. Others
# that take over at the same time hold another lock on the table.
_END_HOLDERS = text(
    "SELECT pg_terminate_backend(activity.pid) FROM pg_stat_activity activity JOIN pg_locks USING (pid) "
    "WHERE application_name = :name AND datname = current_database() AND activity.pid <> pg_backend_pid() "
    "AND relation = CAST(:relation AS regclass) AND mode = 'RowShareLock'"
)


def _raise_epoch(engine: Engine, project: str, holder: str, held: int | None) -> int:
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
        statement = insert(writers).values(project=project, epoch=1, holder=holder)
        statement = statement.on_conflict_do_update(
            index_elements=[writers.c.project],
            set_={"epoch": writers.c.epoch + 1, "holder": holder, "taken_at": func.now()},
            where=None if held is None else writers.c.epoch == held,
        )
        epoch = connection.execute(statement.returning(writers.c.epoch)).scalar_one_or_none()
    if epoch is None:
        raise Fenced(f"another writer took over the project {project!r} (ours was epoch {held})")
    return int(epoch)


def guard(engine: Engine | type[Engine], project: str, epoch: int) -> Callable[[Connection], None]:
    """Make every transaction of `engine` check the epoch first; it raises Fenced when it is not ours any more.

    The class itself stands for every engine of the process, Feast's too.
    """
    statement = (
        select(writers.c.epoch, func.set_config("idle_in_transaction_session_timeout", _SILENCE, True))
        .where(writers.c.project == project)
        .with_for_update(read=True)
    )

    def check(connection: Connection) -> None:
        row = connection.execute(statement).one_or_none()
        if row is None or row.epoch != epoch:
            raise Fenced(
                f"another writer took over the project {project!r} (epoch {row.epoch if row else 'gone'}, ours {epoch})"
            )

    event.listen(engine, "begin", check)
    return check
