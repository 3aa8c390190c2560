"""Our rows about what is registered: definitions, the sequence of changes, pending purges. One transaction a batch."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from featureplane.registry.state import Registered
from featureplane.registry.tables import changes, definitions, parity_checks, purges, runs
from featureplane.rendering.definitions import Definition, Json, Key, canonical, lives_longer

# What `changes.action` says beside change, adopt and remove: a view is new, or has features that it had not before, or
# its rows live longer.
# Either way its rows are to be copied from the beginning.
ADD: Final = "add"
EXTEND: Final = "extend"


def action_of(planned: str, item: Definition, before: Registered) -> str:
    """What to call the writing of an object: what the plan calls it, but for a view that gains features or time."""
    old = before.definitions.get(item.key)
    if item.kind != "feature_view" or old is None:
        return planned
    gained = {feature["name"] for feature in item.spec["features"]} - {
        feature["name"] for feature in old.spec["features"]
    }
    return EXTEND if gained or lives_longer(old.spec["ttl_seconds"], item.spec["ttl_seconds"]) else planned


def record(connection: Connection, project: str, epoch: int, written: Sequence[tuple[str, Definition]]) -> None:
    """Note objects that Feast's registry now holds; `written` pairs each with an action (see above)."""
    if not written:
        return
    rows = [
        {
            "project": project,
            "kind": item.kind,
            "name": item.name,
            "digest": item.digest,
            "body": canonical({"spec": item.spec, "extras": item.extras}),
            "owner": item.owner,
        }
        for _, item in written
    ]
    statement = upsert(definitions)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=[definitions.c.project, definitions.c.kind, definitions.c.name],
        set_={"digest": new.digest, "body": new.body, "owner": new.owner, "updated_at": func.now()},
    )
    connection.execute(statement, rows)
    _change(connection, project, epoch, [(item.key, action, item.digest) for action, item in written])


def forget(connection: Connection, project: str, epoch: int, removed: Sequence[Definition]) -> None:
    """Note objects that Feast's registry no longer holds."""
    for item in removed:
        connection.execute(
            delete(definitions).where(
                definitions.c.project == project, definitions.c.kind == item.kind, definitions.c.name == item.name
            )
        )
        if item.kind == "feature_view":  # another view of its name begins with nothing known
            checks = parity_checks.c
            connection.execute(delete(parity_checks).where(checks.project == project, checks.view == item.name))
    _change(connection, project, epoch, [(item.key, "remove", None) for item in removed])


def _change(connection: Connection, project: str, epoch: int, done: Iterable[tuple[Key, str, str | None]]) -> None:
    rows = [
        {"project": project, "kind": kind, "name": name, "action": action, "digest": digest, "epoch": epoch}
        for (kind, name), action, digest in done
    ]
    if rows:
        connection.execute(insert(changes), rows)


def schedule_purges(
    connection: Connection,
    project: str,
    before: Registered,
    after: Sequence[Definition],
    removed: Sequence[Definition],
    delay: timedelta,
) -> None:
    """Plan the purge of bytes that a change orphaned, and cancel those of features and views that came back."""
    due = func.now() + delay
    for item in removed:
        if item.kind == "feature_view":
            for feature in item.spec["features"]:
                _orphan(connection, project, item, feature, due)
            connection.execute(
                insert(purges).values(project=project, view=item.name, body=canonical(item.spec), due_at=due)
            )
    views = [item for item in after if item.kind == "feature_view"]
    _cancel_purges(connection, project, views)
    for item in views:
        names = {feature["name"] for feature in item.spec["features"]}
        old = before.definitions.get(item.key) or before.lost.get(item.key)
        for feature in old.spec["features"] if old else ():
            if feature["name"] not in names:
                _orphan(connection, project, old or item, feature, due)


def _cancel_purges(connection: Connection, project: str, views: Sequence[Definition]) -> None:
    """Keep the bytes of what is there again: the same feature under the same keys."""
    by_name = {item.name: item for item in views}
    if not by_name:
        return
    pending = select(purges.c.id, purges.c.view, purges.c.feature, purges.c.type, purges.c.body).where(
        purges.c.project == project,
        purges.c.view.in_(by_name),
        purges.c.done_at.is_(None),
        purges.c.cancelled_at.is_(None),
    )
    back = [
        row.id
        for row in connection.execute(pending)
        if _keys(json.loads(row.body)) == _keys(by_name[row.view].spec)
        and (row.feature, row.type) in {("", ""), *_types(by_name[row.view])}
    ]
    connection.execute(update(purges).where(purges.c.id.in_(back)).values(cancelled_at=func.now()))


def _keys(spec: Json) -> list[tuple[str, str]]:
    """What the rows' keys in the online store are made of."""
    return sorted((entity["join_key"], entity["type"]) for entity in spec["entities"])


def _types(view: Definition) -> set[tuple[str, str]]:
    return {(feature["name"], feature["type"]) for feature in view.spec["features"]}


def _orphan(connection: Connection, project: str, view: Definition, feature: dict[str, str], due: object) -> None:
    body = canonical({"entities": view.spec["entities"]})
    values = {
        "project": project,
        "view": view.name,
        "feature": feature["name"],
        "type": feature["type"],
        "body": body,
        "due_at": due,
    }
    connection.execute(insert(purges).values(**values))


def unfolded(connection: Connection, project: str) -> Sequence[Any]:
    """Successful runs that Feast has not been told of, oldest first: id, view and window."""
    statement = (
        select(runs.c.id, runs.c.view, runs.c.window_start, runs.c.window_end)
        .where(runs.c.project == project, runs.c.result == "Succeeded", runs.c.folded.is_(False))
        .order_by(runs.c.window_end)
    )
    return connection.execute(statement).all()


def mark_folded(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(update(runs).where(runs.c.id.in_(ids)).values(folded=True))
