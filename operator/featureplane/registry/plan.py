"""The difference between what is declared and what is registered, and what it means for rows already online. Pure.

Compared by digest, object by object; a change that would make online bytes unreadable is refused, never planned.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from featureplane import deprecation
from featureplane.registry.state import Registered, shared_names
from featureplane.rendering.definitions import KINDS, Definition, Json, Key, lives_longer
from featureplane.rendering.deprecations import deprecated

Action = Literal["add", "change", "remove"]
RETAIN = "Retain"


@dataclass(frozen=True)
class FieldChange:
    """One field of an object, before and after; None where it was or is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """One object that apply will add, change or remove. `effects` say what that means for rows and clients."""

    action: Action
    definition: Definition
    fields: tuple[FieldChange, ...] = ()
    effects: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.definition.key


@dataclass(frozen=True)
class Plan:
    """What apply will do to one project.

    `adopted` are registered as declared, but by Feast alone, or our note of them says something else: apply only notes
    that they are ours and what they are.
    `kept` are ours, declared no more, and stay: each with the reason. `refusals` make the whole plan impossible: each
    names the object that is not to be declared so.
    """

    project: str
    changes: tuple[Change, ...] = ()
    adopted: tuple[Definition, ...] = ()
    kept: tuple[tuple[Key, str], ...] = ()
    refusals: tuple[tuple[Key, str], ...] = ()
    # Everything that is declared or registered: changed objects refer to unchanged ones.
    context: Mapping[Key, Definition] = field(default_factory=dict, repr=False)

    @property
    def is_empty(self) -> bool:
        return not self.changes and not self.refusals

    @property
    def refused(self) -> tuple[str, ...]:
        """The refusals as sentences."""
        return tuple(text for _, text in self.refusals)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is deprecated of all that will be there, each with who uses it."""
        gone = {change.key for change in self.changes if change.action == "remove"}
        return tuple(map(str, deprecated({key: item for key, item in self.context.items() if key not in gone})))


def compare(
    project: str,
    declared: Sequence[Definition],
    registered: Registered,
    *,
    prune: bool | Collection[Key] = False,
    retain: bool = True,
) -> Plan:
    """The plan that makes `registered` what `declared` says.

    `prune` says what of ours may be removed when it is declared no more: nothing, everything, or just these. Without
    `retain` that also holds for what was registered with deletionPolicy Retain: the caller knows better.
    """
    wanted = {definition.key: definition for definition in declared}
    changes: list[Change] = []
    adopted: list[Definition] = []
    refusals: list[tuple[Key, str]] = []
    for definition in declared:
        known = registered.definitions.get(definition.key)
        found = [
            *_refusals(definition, known or registered.lost.get(definition.key), registered),
            *_features_in_use(definition, known, wanted, registered),
        ]
        refusals += [(definition.key, text) for text in found]
        if known is None:
            changes.append(Change("add", definition, (), tuple(_effects_of_adding(definition))))
        elif known.digest != definition.digest and not _only_unowned_extras_differ(definition, known, registered):
            fields = tuple(field_changes(known, definition))
            changes.append(
                Change("change", definition, fields, tuple(_effects_of_changing(known, definition, registered)))
            )
        elif definition.key not in registered.noted or definition.owner != known.owner:
            adopted.append(definition)
    changes += _dependents(changes, wanted)
    removals, kept = _removals(wanted, registered, prune=prune, retain=retain)
    changes = sorted(changes, key=_order) + removals
    context = {**registered.definitions, **wanted}
    return Plan(project, tuple(changes), tuple(adopted), tuple(kept), tuple(refusals), context)


def _order(change: Change) -> tuple[int, bool, str]:
    """Kinds in the order of registration, push sources after the sources they stand on."""
    return KINDS.index(change.key[0]), bool(change.definition.spec.get("batch_source")), change.key[1]


def _only_unowned_extras_differ(definition: Definition, known: Definition, registered: Registered) -> bool:
    """An object that Feast alone registered has no extras to differ from: declaring it adopts it."""
    return definition.key not in registered.owned and definition.spec_digest == known.spec_digest


def _dependents(changes: Sequence[Change], wanted: Mapping[Key, Definition]) -> Iterator[Change]:
    """Views hold a copy of their sources: a source that changes takes its views with it."""
    touched = {change.key for change in changes}
    sources = {name for kind, name in touched if kind == "data_source"}
    for key, definition in wanted.items():
        used = {definition.spec.get("source"), definition.spec.get("push_source")} & sources
        if key[0] == "feature_view" and key not in touched and used:
            name = min(filter(None, used))
            yield Change(
                "change",
                definition,
                (FieldChange("source", name, f"{name} (changed)"),),
                ("rows already online keep the old source's values until a run writes them again",),
            )


def _refusals(definition: Definition, known: Definition | None, registered: Registered) -> Iterator[str]:
    """Changes that are never made in place: stored keys and values would be read as something else."""
    why = registered.foreign_names.get((shared_names(definition.kind), definition.name))
    if why is not None:
        yield (
            f"{definition.kind.replace('_', ' ')} {definition.name!r} is registered in Feast in a form that cannot be "
            f"declared ({why}); remove it there first, or choose another name"
        )
    if definition.kind == "entity" and known:
        yield from _entity_refusals(definition, known)
    if definition.kind == "feature_view":
        yield from _view_refusals(definition, known, registered.tombstones)


def _features_in_use(
    definition: Definition, known: Definition | None, wanted: Mapping[Key, Definition], registered: Registered
) -> Iterator[str]:
    """Features that go while a service that is registered and not declared here still holds them."""
    if definition.kind != "feature_view" or known is None:
        return
    gone = _by_name(known.spec["features"]).keys() - _by_name(definition.spec["features"]).keys()
    if not gone:
        return
    for key, service in registered.definitions.items():
        if key[0] == "feature_service" and key not in wanted:
            view = _by_name(service.spec["views"]).get(definition.name, {"features": ()})
            used = sorted(gone & set(view["features"]))
            if used:
                yield (
                    f"feature view {definition.name!r}: the feature service {key[1]!r} uses {', '.join(used)}; "
                    "declare the service without it as well, or remove the service first"
                )


def _entity_refusals(definition: Definition, known: Definition) -> Iterator[str]:
    for name in ("join_key", "type"):
        before, after = known.spec[name], definition.spec[name]
        if before != after:
            yield (
                f"entity {definition.name!r}: {name} is immutable ({before} is registered, {after} declared); "
                "name a new entity"
            )


def _view_refusals(
    definition: Definition, known: Definition | None, tombstones: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    label = f"feature view {definition.name!r}"
    if known and _entities(known) != _entities(definition):
        yield (
            f"{label}: entities are immutable ({_entities(known)} registered, {_entities(definition)} declared); "
            "make a new view"
        )
    types = {feature["name"]: feature["type"] for feature in known.spec["features"]} if known else {}
    for feature in definition.spec["features"]:
        name, kind = feature["name"], feature["type"]
        before = types.get(name)
        if before is not None and before != kind:
            yield (
                f"{label}: the type of {name!r} is immutable ({before} is registered, {kind} declared); "
                "add a feature of another name"
            )
        gone = tombstones.get((definition.name, name))
        if before is None and gone is not None and gone != kind:
            yield (
                f"{label}: {name!r} was removed as {gone} and its bytes are not purged yet: "
                f"it cannot come back as {kind}; give the feature another name"
            )


def _entities(definition: Definition) -> str:
    return ", ".join(
        sorted(f"{entity['name']} ({entity['join_key']} {entity['type']})" for entity in definition.spec["entities"])
    )


def field_changes(before: Definition, after: Definition) -> Iterator[FieldChange]:
    """Every field in which two definitions of one object differ."""
    yield from _differences("", before.spec, after.spec)
    yield from _differences("", before.extras, after.extras)


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after or path == "projection":
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from _differences(_below(path, str(name)), before.get(name), after.get(name))
    elif _is_named(before) and _is_named(after):
        old, new = _by_name(before), _by_name(after)
        yield from _differences(path, old, new)
        if old.keys() == new.keys() and list(old) != list(new):
            yield FieldChange(f"{path} (order)", list(old), list(new))
    else:
        yield FieldChange(path, before, after)


def _below(path: str, name: str) -> str:
    """Where a field is that users write; a deprecation is one, though Feast has it among the tags."""
    parents = path.split(".") if path else []
    if parents and parents[-1] == "tags" and name in deprecation.FIELDS:
        return ".".join([*parents[:-1], "deprecated", deprecation.FIELDS[name]])
    return ".".join([*parents, name])


def _is_named(items: Any) -> bool:
    return isinstance(items, list) and all(isinstance(item, Mapping) and "name" in item for item in items)


def _by_name(items: Iterable[Json]) -> dict[str, Json]:
    return {str(item["name"]): item for item in items}


def _effects_of_adding(definition: Definition) -> Iterator[str]:
    if definition.kind == "feature_view" and definition.spec["online"] and definition.extras["schedule"] != "never":
        if definition.extras["initial"]:
            yield f"a first run copies its rows online, then the schedule {definition.extras['schedule']!r}"
        else:
            yield f"nothing is online until the schedule {definition.extras['schedule']!r} runs"


def _effect_of_ttl(before: int, after: int) -> str:
    if lives_longer(before, after):
        return "rows within the new ttl are copied once more, so that those online live as long"
    return "rows already online keep the time they have; those written from now on live shorter"


def _effects_of_changing(before: Definition, after: Definition, registered: Registered) -> Iterator[str]:
    if before.key not in registered.owned:
        yield "registered by Feast alone until now; it becomes Featureplane's"
    if after.kind != "feature_view":
        return
    old, new = _by_name(before.spec["features"]), _by_name(after.spec["features"])
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    if added:
        yield f"rows already online have no {', '.join(added)} until a run writes them again"
    if removed:
        yield f"clients that ask for {', '.join(removed)} get an error at once; the bytes stay until they are purged"
    if before.spec["source"] != after.spec["source"] or "source_copy" in before.spec:
        yield "rows already online keep the old source's values until a run writes them again"
    if before.spec["ttl_seconds"] != after.spec["ttl_seconds"]:
        yield _effect_of_ttl(before.spec["ttl_seconds"], after.spec["ttl_seconds"])
    if before.spec["online"] and not after.spec["online"]:
        yield "no run writes rows any more; what is online stays as it is; a view that is deleted is purged"
    if before.extras.get("checks") != after.extras.get("checks"):
        yield "rows already online are not checked again"
    if any(before.extras.get(name) != after.extras.get(name) for name in ("schedule", "window", "suspend")):
        yield "holds from the next run on"


def _removals(
    wanted: Mapping[Key, Definition], registered: Registered, *, prune: bool | Collection[Key], retain: bool
) -> tuple[list[Change], list[tuple[Key, str]]]:
    """What of ours is declared no more: removed when asked, unless something that stays needs it."""
    ours = {**registered.definitions, **registered.lost}
    candidates = {key for key in registered.owned - wanted.keys() if key[0] != "project" and key in ours}
    staying = {**ours, **wanted}
    removals: list[Change] = []
    kept: list[tuple[Key, str]] = []
    for key in sorted(
        candidates,
        key=lambda key: (-KINDS.index(key[0]), not ours[key].spec.get("batch_source"), key[1]),
    ):
        definition = ours[key]
        users = sorted(name for (kind, name), other in staying.items() if _uses(other, key))
        if prune is False or (prune is not True and key not in prune):
            kept.append((key, "not declared; --prune removes it"))
        elif retain and definition.extras.get("deletion_policy") == RETAIN:
            kept.append((key, "its deletionPolicy is Retain"))
        elif users:
            kept.append((key, f"in use by {', '.join(users)}"))
        else:
            del staying[key]
            removals.append(Change("remove", definition, (), tuple(_effects_of_removing(definition))))
    return removals, kept


def _uses(other: Definition, key: Key) -> bool:
    kind, name = key
    match other.kind, kind:
        case "feature_service", "feature_view":
            return name in _by_name(other.spec["views"])
        case "feature_view", "data_source":
            return name in {other.spec["source"], other.spec["push_source"]}
        case "feature_view", "entity":
            return name in _by_name(other.spec["entities"])
        case "data_source", "data_source":
            return other.spec.get("batch_source") == name
    return False


def _effects_of_removing(definition: Definition) -> Iterator[str]:
    if definition.kind == "feature_view":
        yield "clients that ask for it get an error at once; its online rows are purged later, unless it comes back"
    if definition.kind == "feature_service":
        yield "clients that ask for it get an error at once"


def closure(context: Mapping[Key, Definition], wanted: Sequence[Definition]) -> list[Definition]:
    """`wanted` and all it refers to, in the order of registration."""
    needed: dict[Key, Definition] = {}

    def visit(item: Definition) -> None:
        if item.key in needed:
            return
        for key in references(item):
            visit(context[key])
        needed[item.key] = item

    for item in wanted:
        visit(item)
    return list(needed.values())


def references(item: Definition) -> list[Key]:
    """What an object needs beside it in the registry."""
    spec = item.spec
    match item.kind:
        case "data_source":
            return [("data_source", spec["batch_source"])] if spec["type"] == "push" else []
        case "feature_view":
            entities: list[Key] = [("entity", entity["name"]) for entity in spec["entities"]]
            push: list[Key] = [("data_source", spec["push_source"])] if spec["push_source"] else []
            return [*entities, ("data_source", spec["source"]), *push]
        case "feature_service":
            return [("feature_view", view["name"]) for view in spec["views"]]
    return []
