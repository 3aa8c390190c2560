"""`featureplane plan`: what apply would change, and what that means for rows already online."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from featureplane import deprecation
from featureplane.cli.console import LONGEST, print_json, printable, say
from featureplane.cli.workspace import (
    AsJson,
    DataRootPath,
    Paths,
    definitions,
    open_stores,
    open_workspaces,
    registered,
)
from featureplane.registry.plan import Change, FieldChange, Plan, compare
from featureplane.rendering.definitions import Definition
from featureplane.settings import Settings

Prune = Annotated[
    bool, typer.Option("--prune", help="Also remove what Featureplane registered and the files no longer declare.")
]

_FEW = 6
_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}


def plan(paths: Paths, data_root: DataRootPath = None, prune: Prune = False, as_json: AsJson = False) -> None:
    """Show what apply would change.

    Exit status: 0 nothing, 1 something, 2 an error (a change that is never made in place is one).
    """
    workspaces = open_workspaces(paths, data_root)
    with open_stores(Settings.from_env()) as stores:
        plans = []
        for item in workspaces:
            known = registered(stores, item.feast_project)
            plans.append(compare(item.feast_project, definitions(item), known, prune=prune))
    if as_json:
        print_json([as_data(found) for found in plans])
    else:
        for found in plans:
            show(found)
    if any(found.refused for found in plans):
        raise typer.Exit(2)
    if not all(found.is_empty for found in plans):
        raise typer.Exit(1)


def show(item: Plan) -> None:
    """Print a plan for people."""
    counts = {action: sum(change.action == action for change in item.changes) for action in _SIGNS}
    summary = ", ".join(f"{count} to {action}" for action, count in counts.items())
    say(f"{item.project}: {summary}" if item.changes else f"{item.project}: nothing to change", "bold")
    for change in item.changes:
        _show_change(change)
    if item.adopted:
        names = ", ".join(f"{definition.kind} {definition.name}" for definition in item.adopted)
        say(f"  = registered and the same, to be noted as Featureplane's: {printable(names, 1000)}")
    _show_kept(item)
    for warning in item.warnings:
        say(f"  * {printable(warning, 1000)}", "yellow")
    for refusal in item.refused:
        say(f"  ! {printable(refusal, 1000)}", "red")


def _show_kept(item: Plan) -> None:
    """What is registered and not declared: one by one where there are few of a reason, else their number."""
    by_reason: dict[str, list[str]] = {}
    for (kind, name), why in item.kept:
        by_reason.setdefault(why, []).append(f"{kind} {name}")
    for why, names in by_reason.items():
        shown = ", ".join(names) if len(names) <= _FEW else f"{len(names)} registered objects"
        say(f"  . {shown}: stays, {why}", "dim")


def _show_change(change: Change) -> None:
    sign, style = _SIGNS[change.action]
    say(f"  {sign} {change.definition.kind} {change.definition.name}", style)
    _show_answerable(change.definition)
    for field in change.fields:
        say(f"      {field_line(change.definition.kind, field)}")
    for effect in change.effects:
        say(f"      {effect}", "dim")


def _show_answerable(item: Definition) -> None:
    """Who answers for the object, and its tags: whom to ask about what follows."""
    tags = ", ".join(f"{key}={value}" for key, value in deprecation.without(item.spec.get("tags", {})).items())
    said = [f"owner {item.spec['owner']}" if item.spec.get("owner") else "", f"tags {tags}" if tags else ""]
    if any(said):
        say(f"      {printable('; '.join(filter(None, said)))}", "dim")


def field_line(kind: str, field: FieldChange, longest: int = LONGEST) -> str:
    """One field of an object, before and after, on a line."""
    if kind == "feature_service" and field.path.endswith(".projection"):  # a digest
        return f"{field.path.removesuffix('.projection')}: what it takes from the view changed"
    before, after = ("(none)" if value is None else printable(value, longest) for value in (field.before, field.after))
    return f"{field.path}: {before} -> {after}"


def as_data(item: Plan) -> dict[str, Any]:
    """A plan as JSON: stable names, for scripts and pull-request comments."""
    return {
        "project": item.project,
        "changes": [
            {
                "action": change.action,
                "kind": change.definition.kind,
                "name": change.definition.name,
                "owner": change.definition.owner,
                "fields": [
                    {"path": field.path, "before": field.before, "after": field.after} for field in change.fields
                ],
                "effects": list(change.effects),
            }
            for change in item.changes
        ],
        "adopted": _keys([definition.key for definition in item.adopted]),
        "kept": [{"kind": kind, "name": name, "why": why} for (kind, name), why in item.kept],
        "refused": list(item.refused),
        "warnings": list(item.warnings),
    }


def _keys(keys: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"kind": kind, "name": name} for kind, name in keys]
