"""`featureplane row-history`: the rows that an entity has had, and which of them is served."""

from collections.abc import Iterator
from datetime import UTC
from typing import Annotated, Any

import typer
from rich.text import Text

from featureplane.cli.console import complain, print_json, printable, say, show_wide_table, table
from featureplane.cli.entities import EntityValue, ViewName, entity_named
from featureplane.cli.runs import places_of
from featureplane.cli.workspace import AsJson, DataRootPath, Paths, ProjectName, open_stores, open_workspace
from featureplane.entities.entity import Entity
from featureplane.entities.history import History, history_of
from featureplane.entities.served import catalogue_of, online_row
from featureplane.parity.judging import OnlineRow, SourceRow, moment
from featureplane.parity.values import shown

LONGEST_VALUE = 60
_SERVED, _ONLY, _EXPIRED, _REFUSED = "served", "online only", "expired", "refused"
# What is worth a word below the table.
_MEANING = {
    _ONLY: "no row of the source is the same: it was pushed, rolled back to, or the source has changed since",
    _EXPIRED: "the row that is online is older than the ttl of its view, and not served",
    _REFUSED: "a check or a type refuses the row: no run copies it",
}


def row_history(
    paths: Paths,
    view: ViewName,
    entity: EntityValue,
    last: Annotated[int, typer.Option("--last", metavar="N", min=1, max=10_000, help="The newest N rows.")] = 10,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Show the rows that an entity has had.

    They are those that the view's source has, the newest first, with their values as a run would write them, and beside
    them which one is served now. A row that is online and not in the source, as after a push, is shown above them.

    For example: featureplane row-history features/ --view driver_stats -e driver_id=1001
    """
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    with open_stores(workspace.settings) as stores:
        named = entity_named(workspace, stores, view, entity)
        with catalogue_of(workspace.declarations.project, stores) as catalogue:
            online = online_row(stores, catalogue, named)
        with places_of(workspace, stores) as places:
            found = history_of(named, places, online, last)
    if as_json:
        print_json(_as_json(named, found))
    else:
        _show(named, found)


def online_state(online: OnlineRow, *, is_in_source: bool) -> str:
    """What is to be said of the row that is online."""
    return _EXPIRED if online.is_expired else _SERVED if is_in_source else _ONLY


def values_of(entity: Entity, row: SourceRow | OnlineRow) -> dict[str, Any]:
    """The features of a row, as the server says them."""
    return {name: shown(value) for (name, _), value in zip(entity.view.features, row.values, strict=True)}


def _as_json(entity: Entity, found: History) -> dict[str, Any]:
    online = found.online
    is_there = online.time is not None
    return {
        "view": entity.view.name,
        "entity": entity.by_name,
        "online": {
            "event_time": moment(online.time), "values": values_of(entity, online), "expired": online.is_expired,
        } if is_there else None,
        "rows": [
            {
                "event_time": moment(row.time), "created": moment(row.created), "values": values_of(entity, row),
                "served": place == found.served and not online.is_expired, "refused": not row.is_copied,
            }
            for place, row in enumerate(found.rows)
        ],
    }  # fmt: skip


def _show(entity: Entity, found: History) -> None:
    if found.online.is_unreadable:
        complain("what is online of this entity is no row that can be read", "")
    if not found.rows and found.online.time is None:
        say("neither the source nor the online store has a row of this entity")
        return
    created = bool(entity.view.source["created_timestamp_column"])
    names = [printable(name) for name, _ in entity.view.features]
    made = table("STATE", "EVENT TIME", *(["CREATED"] if created else []), *names)
    stated = list(_stated(found))
    for state, row in stated:
        style = "green" if state == _SERVED else "yellow" if state in _MEANING else ""
        times = [row.time, *([row.created] if created else [])]
        values = [printable(value, LONGEST_VALUE) for value in values_of(entity, row).values()]
        made.add_row(Text(state, style=style), *map(shown_time, times), *values)
    show_wide_table(made)
    for state in dict.fromkeys(state for state, _ in stated):
        if state in _MEANING:
            complain(f"{state}: {_MEANING[state]}", "")


def _stated(found: History) -> Iterator[tuple[str, SourceRow]]:
    """The rows to show, each with its state: first the one online, where the source does not have it."""
    online = found.online
    if online.time is not None and found.served is None:
        yield online_state(online, is_in_source=False), SourceRow(online.time, [each or b"" for each in online.values])
    for place, row in enumerate(found.rows):
        state = "-" if row.is_copied else _REFUSED
        yield online_state(online, is_in_source=True) if place == found.served else state, row


def shown_time(at: int | None) -> str:
    """A time in microseconds since 1970, as it is written for `--to`."""
    found = moment(at)
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z") if found else "-"
