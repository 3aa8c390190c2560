"""The audit table: a row for each change of a definition, never changed and never deleted. See `tables.audit`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, inspect, select

from featureplane import names
from featureplane.registry.actor import Actor
from featureplane.registry.ledger import EXTEND
from featureplane.registry.plan import FieldChange, field_changes
from featureplane.registry.state import Registered
from featureplane.registry.tables import audit
from featureplane.rendering.definitions import Definition, Key, canonical


@dataclass(frozen=True)
class Entry:
    """A row of the table. `definition` is the object as it was from then on; of a removed one, what was removed."""

    id: int
    at: datetime
    project: str
    kind: str
    name: str
    action: str
    digest_before: str | None
    digest_after: str | None
    fields: tuple[FieldChange, ...]
    definition: Definition
    by: Actor


@dataclass(frozen=True)
class Wanted:
    """Which rows to read: of everything where nothing is said."""

    project: str | None = None
    kinds: Sequence[str] = ()
    name: str | None = None
    since: datetime | None = None
    ids: Sequence[int] = ()
    most: int | None = None


def note(
    connection: Connection,
    project: str,
    epoch: int,
    before: Registered,
    changes: Sequence[tuple[str, Definition]],
    by: Mapping[Key, Actor],
) -> None:
    """Note changes that Feast's registry now holds, each with its action (see `ledger.record`, and `remove`)."""
    rows = [_row(before, *change) for change in changes if _is_one(before, *change)]
    if rows:
        about = {"project": project, "epoch": epoch}
        connection.execute(insert(audit), [{**about, **row, **_by(by[row["kind"], row["name"]])} for row in rows])


def note_rows(
    connection: Connection, project: str, action: str, view: Definition, fields: Sequence[FieldChange], by: Actor
) -> None:
    """Note what was done by hand to online rows of a view, which itself stays as it is: never whose they were."""
    row = {
        "project": project,
        "kind": view.kind,
        "name": view.name,
        "action": action,
        "digest_before": view.digest,
        "digest_after": view.digest,
        "difference": canonical([asdict(field) for field in fields]),
        "body": canonical({"spec": view.spec, "extras": view.extras}),
        # No writer's.
        "epoch": 0,
    }
    connection.execute(insert(audit), [{**row, **_by(by)}])


def _is_one(before: Registered, action: str, item: Definition) -> bool:
    """A view is written once more where its source changed, and says the same."""
    known = before.definitions.get(item.key)
    return action in {"remove", "adopt"} or known is None or known.digest != item.digest


def _row(before: Registered, action: str, item: Definition) -> dict[str, Any]:
    known = before.definitions.get(item.key) or before.lost.get(item.key)
    is_removed = action == "remove"
    fields = [] if is_removed or known is None else [asdict(field) for field in field_changes(known, item)]
    return {
        "kind": item.kind,
        "name": item.name,
        "action": "change" if action == EXTEND else action,
        "digest_before": known.digest if known else None,
        "digest_after": None if is_removed else item.digest,
        "difference": canonical(fields),
        "body": canonical({"spec": item.spec, "extras": item.extras}),
    }


def _by(actor: Actor) -> dict[str, Any]:
    return asdict(actor)


def read(connection: Connection, wanted: Wanted) -> list[Entry]:
    """The rows that are wanted, the newest first; none where there is no such table yet."""
    if not inspect(connection).has_table(audit.name, schema=names.SCHEMA):
        return []
    columns = audit.c
    conditions = [
        *([columns.project == wanted.project] if wanted.project is not None else []),
        *([columns.kind.in_(wanted.kinds)] if wanted.kinds else []),
        *([columns.name == wanted.name] if wanted.name is not None else []),
        *([columns.at >= wanted.since] if wanted.since is not None else []),
        *([columns.id.in_(wanted.ids)] if wanted.ids else []),
    ]
    statement = select(audit).where(*conditions).order_by(columns.id.desc()).limit(wanted.most)
    return [_entry(row) for row in connection.execute(statement)]


def _entry(row: Any) -> Entry:
    body = json.loads(row.body)
    return Entry(
        row.id, row.at, row.project, row.kind, row.name, row.action, row.digest_before, row.digest_after,
        tuple(FieldChange(**field) for field in json.loads(row.difference)),
        Definition(row.kind, row.name, body["spec"], body["extras"], row.object),
        Actor(row.manager, row.via, row.object, row.uid, row.resource_version, row.generation),
    )  # fmt: skip
