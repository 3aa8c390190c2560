"""What is registered: Feast's rows read by protobuf descriptors alone, and ours beside them. Never imports Feast.

Feast executes Python that it finds in registry rows (CVE-2026-18948) wherever it loads them, so `python_code` looks at
the raw rows of every project of the database before a process that imports Feast may.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, inspect, select, tuple_

from featureplane.errors import UnreadableRow
from featureplane.registry import protos, tables
from featureplane.registry.feast_rows import OTHER_VIEWS, TABLES, executed, has_schema, rows
from featureplane.registry.from_protos import convert, settle
from featureplane.registry.state import FEASTS_OWN, NO_FORM, Foreign, Registered
from featureplane.rendering.definitions import Definition, DefinitionKind, Key

# A statement has at most 65,535 parameters; long before, reading everything is as fast.
_MOST_KEYS = 2000


def read(connection: Connection, project: str, only: Collection[Key] | None = None) -> Registered:
    """What is registered for one project; nothing when neither Feast nor we have tables yet.

    `only` leaves out other objects; a view that is read needs its entities and sources beside it.
    """
    if only is not None and len(only) > _MOST_KEYS:
        only = None
    present = set(inspect(connection).get_table_names())
    converted: list[Definition] = []
    foreign: list[Foreign] = []
    for kind, message in messages(connection, project, present, only):
        item = convert(kind, message)
        if isinstance(item, Foreign):
            foreign += [item] if (item.kind, item.name) not in FEASTS_OWN else []
        elif item.key not in FEASTS_OWN:
            converted.append(item)
    settled, more = settle(converted)
    foreign += more
    for name, (label, _) in OTHER_VIEWS.items():
        if name in present:
            foreign += [
                Foreign(label.replace(" ", "_").replace("-", "_"), row.name, NO_FORM)
                for row in rows(connection, name, "feature_view_name", project)
            ]
    if not has_schema(connection):
        return Registered({item.key: item for item in settled}, foreign=tuple(foreign))
    ours = _ours(connection, project, only)
    definitions = {item.key: _with_extras(item, ours.get(item.key)) for item in settled}
    there = definitions.keys() | {(item.kind, item.name) for item in foreign}
    return Registered(
        definitions,
        frozenset(ours),
        tuple(foreign),
        _tombstones(connection, project),
        drifted=frozenset(key for key in ours.keys() & definitions if ours[key].digest != definitions[key].digest),
        lost={key: note.definition(key) for key, note in ours.items() if key not in there},
    )


_UNREADABLE = (
    "the registry's row of the {} {!r} of project {!r} cannot be read; restore it from a backup, or delete it to "
    "have it written anew"
)


def messages(
    connection: Connection, project: str, present: set[str], only: Collection[Key] | None = None
) -> Iterator[tuple[DefinitionKind, Any]]:
    """Kind and message of each of Feast's objects, in the order of registration."""
    for kind, (name, proto_column, message) in TABLES.items():
        wanted = None if only is None else [key[1] for key in only if key[0] == kind]
        if name in present and wanted != []:
            for row in rows(connection, name, proto_column, project, wanted):
                try:
                    found = message.FromString(row[1])
                except DecodeError:
                    raise UnreadableRow(_UNREADABLE.format(kind.replace("_", " "), row[0], project)) from None
                yield cast(DefinitionKind, kind), found


@dataclass(frozen=True)
class _Note:
    """Our own row of an object that Featureplane registered."""

    digest: str
    # JSON: most of it is what Feast's row says, too, and of thousands is not wanted a second time.
    body: str
    owner: str

    def definition(self, key: Key) -> Definition:
        body = json.loads(self.body)
        return Definition(*key, body["spec"], body["extras"], self.owner)


def _ours(connection: Connection, project: str, only: Collection[Key] | None) -> dict[Key, _Note]:
    columns = tables.definitions.c
    statement = select(tables.definitions).where(columns.project == project)
    if only is not None:
        statement = statement.where(tuple_(columns.kind, columns.name).in_(only))
    rows = executed(connection, statement, whole=only is None)
    return {(row.kind, row.name): _Note(row.digest, row.body, row.owner) for row in rows}


def _with_extras(item: Definition, note: _Note | None) -> Definition:
    return replace(item, extras=json.loads(note.body)["extras"], owner=note.owner) if note else item


def _tombstones(connection: Connection, project: str) -> dict[tuple[str, str], str]:
    purges = tables.purges.c
    pending = select(purges.view, purges.feature, purges.type).where(
        purges.project == project, purges.done_at.is_(None), purges.cancelled_at.is_(None), purges.feature != ""
    )
    return {(row.view, row.feature): row.type for row in connection.execute(pending)}


def python_code(connection: Connection, project: str | None = None) -> list[str]:
    """Where the database's registry holds code that Feast would execute or import on loading it, in any project or in
    this one.

    Every table counts that the writer, a run or the server may load an object from. A row that cannot be read holds
    nothing that Feast could execute.
    """
    present = set(inspect(connection).get_table_names())
    places = {name: (kind.replace("_", " "), column, message) for kind, (name, column, message) in TABLES.items()}
    places |= {name: (label, "feature_view_proto", message) for name, (label, message) in OTHER_VIEWS.items()}
    return [
        f"{label} {row.name!r}, {code}"
        for name, (label, proto_column, message) in places.items()
        if name in present and _fields_to_code(message.DESCRIPTOR)
        for row in rows(connection, name, proto_column, project)
        for code in _code_in(message, row[1])
    ]


def _code_in(message: Any, content: bytes) -> list[str]:
    try:
        return list(_code(message.FromString(content)))
    except DecodeError:
        return []


# What Feast unpickles, or executes as source text, when it makes an object of the message.
_FUNCTIONS = {
    "feast.core.UserDefinedFunction",
    "feast.core.UserDefinedFunctionV2",
    "feast.core.SubstraitTransformationV2",
}


def _code(message: Any) -> Iterator[str]:
    """The functions in a message, and the classes that are none of Feast's own, however deep they lie."""
    if message.DESCRIPTOR.full_name in _FUNCTIONS:
        yield "a Python function"
        return
    if message.DESCRIPTOR.full_name == protos.DataSource.DESCRIPTOR.full_name:
        path = message.data_source_class_type
        if path and not path.startswith("feast."):
            yield f"the class {path}"
    for field in _fields_to_code(message.DESCRIPTOR):
        held = getattr(message, field.name)
        if hasattr(held, "DESCRIPTOR"):
            yield from _code(held) if message.HasField(field.name) else ()
            continue
        for item in held.values() if hasattr(held, "values") else held:
            yield from _code(item)


@cache
def _fields_to_code(descriptor: Any) -> tuple[Any, ...]:
    """The fields below which code may lie: a walk leaves out all the others."""
    return tuple(field for field in descriptor.fields if field.message_type and _may_hold_code(field.message_type))


def _may_hold_code(descriptor: Any) -> bool:
    seen, ahead = set(), [descriptor]
    while ahead:
        here = ahead.pop()
        if here.full_name in _FUNCTIONS or here.full_name == protos.DataSource.DESCRIPTOR.full_name:
            return True
        seen.add(here.full_name)
        ahead += [field.message_type for field in here.fields if field.message_type]
        ahead = [each for each in ahead if each.full_name not in seen]
    return False
