"""`featureplane history`: who changed what, and when."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from featureplane.cli.console import print_json, printable, say, show_table, table
from featureplane.cli.plan import field_line
from featureplane.cli.workspace import AsJson, moment_of, open_stores
from featureplane.errors import FeatureplaneError
from featureplane.registry import audit
from featureplane.registry.audit import Entry, Wanted
from featureplane.registry.database import begin_once, database_exists
from featureplane.registry.plan import FieldChange, field_changes
from featureplane.settings import Settings, Stores

Of = Annotated[
    str | None,
    typer.Argument(
        metavar="[KIND/]NAME",
        help="An object by its name in Feast: view/NAME, service/, entity/, source/ or project/, or NAME alone.",
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only what came later: 2d, 2026-03-31, 2026-03-31T08:00Z.")
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The newest N changes.")]
Between = Annotated[
    tuple[int, int] | None,
    typer.Option("--between", metavar="ID ID", help="Show how the object differs after these two changes."),
]
InProject = Annotated[str | None, typer.Option("--project", metavar="NAME", help="Only of this project of Feast's.")]

_KINDS = {
    **dict.fromkeys(("view", "fv", "featureview", "feature_view"), "feature_view"),
    **dict.fromkeys(("service", "fsvc", "featureservice", "feature_service"), "feature_service"),
    **dict.fromkeys(("source", "data_source"), "data_source"),
    **dict.fromkeys(("project", "fproj", "feastproject"), "project"),
    "entity": "entity",
}
_FEW = 3


def history(
    of: Of = None,
    since: Since = None,
    between: Between = None,
    project: InProject = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, and when, the newest first.

    Of the registry that the environment names, or of this folder's. WHO is the field manager that last wrote the
    object, such as kubectl-client-side-apply, or the user of a command.
    """
    kind, name = _named(of)
    moment = None if since is None else moment_of("--since", since, datetime.now(UTC))
    with open_stores(Settings.from_env()) as stores:
        if between:
            _show_between(*_pair(_read(stores, Wanted(ids=between)), between), as_json=as_json)
            return
        kinds = [kind] if kind else []
        found = _read(stores, Wanted(project, kinds, name, moment, most=limit))
    if as_json:
        print_json([_data(entry) for entry in found])
    elif found:
        _show(found)
    else:
        which = (f" of {of}" if of else "", f" in the project {project}" if project else "")
        say("no change is noted" + "".join(which) + (f" since {since}" if since else ""))


def _named(of: str | None) -> tuple[str | None, str | None]:
    kind, slash, name = (of or "").rpartition("/")
    if not slash:
        return None, name or None
    if kind.lower() not in _KINDS or not name:
        raise FeatureplaneError(
            f"{printable(of)} names no object; write view/NAME, service/, entity/, source/ or project/"
        )
    return _KINDS[kind.lower()], name


def _read(stores: Stores, wanted: Wanted) -> list[Entry]:
    if not database_exists(stores.postgres):
        return []
    with begin_once(stores.postgres) as connection:
        return audit.read(connection, wanted)


def _pair(found: Sequence[Entry], ids: tuple[int, int]) -> tuple[Entry, Entry]:
    by_id = {entry.id: entry for entry in found}
    for number in ids:
        if number not in by_id:
            raise FeatureplaneError(f"there is no change {number}; featureplane history lists them")
    older, newer = by_id[min(ids)], by_id[max(ids)]
    if (older.project, older.kind, older.name) != (newer.project, newer.kind, newer.name):
        raise FeatureplaneError(
            f"{older.id} is of {_object(older)}, {newer.id} of {_object(newer)}; name two changes of one object"
        )
    return older, newer


def _object(entry: Entry) -> str:
    return f"{entry.kind} {entry.name} in {entry.project}"


def _show_between(older: Entry, newer: Entry, *, as_json: bool) -> None:
    fields = list(field_changes(older.definition, newer.definition))
    if as_json:
        print_json({"older": _data(older), "newer": _data(newer), "fields": [asdict(field) for field in fields]})
        return
    say(f"{_object(older)}, from {older.id} ({_time(older)}) to {newer.id} ({_time(newer)})", "bold")
    for field in fields:
        say(f"  {field_line(older.kind, field)}")
    if not fields:
        say("  the same")


def _show(found: Sequence[Entry]) -> None:
    rows = table("right:ID", "WHEN", "PROJECT", "CHANGE", "OBJECT", "WHO", "VIA", "WHAT")
    for entry in found:
        who = printable(entry.by.manager) or "-"
        of = f"{entry.by.object} " if entry.by.object else ""
        rows.add_row(
            str(entry.id), _time(entry), entry.project, entry.action, f"{entry.kind} {entry.name}", f"{of}{who}",
            entry.by.via, _what(entry.kind, entry.fields),
        )  # fmt: skip
    show_table(rows)


def _what(kind: str, fields: Sequence[FieldChange]) -> str:
    shown = [field_line(kind, field, longest=40) for field in fields[:_FEW]]
    return "; ".join([*shown, *([f"and {len(fields) - _FEW} more"] if len(fields) > _FEW else [])])


def _time(entry: Entry) -> str:
    return entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at.astimezone(UTC),
        "project": entry.project,
        "kind": entry.kind,
        "name": entry.name,
        "action": entry.action,
        "digestBefore": entry.digest_before,
        "digestAfter": entry.digest_after,
        "fields": [asdict(field) for field in entry.fields],
        "by": asdict(entry.by),
    }
