"""Which entities' keys in Redis may have an expiry, from a time when a view of theirs had a ttl.

Where the last ttl goes, rows that are written again must not go with the old expiry; to take it away from keys that
never had any would be a command more for every row.
"""

import json
from collections.abc import Iterable

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from featureplane.online.layout import Keys
from featureplane.registry.tables import expiring_entities


def read(connection: Connection, project: str) -> frozenset[Keys]:
    """The join keys of which rows were ever written with an expiry."""
    columns = expiring_entities.c
    found = connection.execute(select(columns.join_keys).where(columns.project == project)).scalars()
    return frozenset(tuple((name, kind) for name, kind in json.loads(text)) for text in found)


def note(connection: Connection, project: str, entities: Iterable[Keys]) -> None:
    """Remember these join keys, before the first row is written with an expiry."""
    rows = [{"project": project, "join_keys": json.dumps(keys)} for keys in entities]
    if rows:
        connection.execute(insert(expiring_entities).on_conflict_do_nothing(), rows)
