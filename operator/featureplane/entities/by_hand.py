"""What is done by hand to rows that are online: while no run copies their view, and noted for who asks later."""

from collections.abc import Iterator
from contextlib import contextmanager

from featureplane.materialization import lock
from featureplane.registry import audit, schema
from featureplane.registry.actor import local_user
from featureplane.registry.database import begin, engine_for
from featureplane.registry.plan import FieldChange
from featureplane.rendering.definitions import Definition
from featureplane.settings import Stores

# How long a run is waited for, in seconds.
_PATIENCE = 60.0


@contextmanager
def by_hand(stores: Stores, project: str, view: Definition, action: str) -> Iterator[list[FieldChange]]:
    """No run on the view goes on while the block does. What the block lists is noted in the audit table, also where it
    then fails: never an entity.

    Raises Busy where a run goes on for a minute, and StoreUnavailable.
    """
    engine = engine_for(stores.postgres)
    changes: list[FieldChange] = []
    try:
        schema.migrate(engine, stores.postgres)
        with lock.hold(engine, stores.postgres, project, view.name, _PATIENCE):
            try:
                yield changes
            finally:
                if changes:
                    with begin(engine, stores.postgres) as connection:
                        by = local_user(f"featureplane {action}")
                        audit.note_rows(connection, project, action, view, changes, by)
    except lock.Busy as error:
        raise lock.Busy(f"a run copies {view.name}; try again when it has ended") from error
    finally:
        engine.dispose()
