"""Who a change of a definition is of: for the audit table, which is shown by `featureplane history`."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass

from featureplane.registry.plan import Plan, references
from featureplane.rendering.definitions import Definition, Key


@dataclass(frozen=True)
class Actor:
    """`manager` is the field manager that last wrote the spec of a custom resource, or who started a command; empty
    where nobody knows. `via` is the program that carried it out. The rest is the custom resource as it was then.
    """

    manager: str
    via: str
    object: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0


def local_user(via: str) -> Actor:
    """The user of this process."""
    try:
        return Actor(getpass.getuser(), via)
    except (KeyError, OSError):  # a user without a name, as containers have them
        return Actor("", via)


# The object that a definition comes from: the kind of the definition, and its owner.
Declarer = tuple[str, str]


def actors_of(plan: Plan, known: Mapping[Declarer, Actor]) -> dict[Key, Actor]:
    """Who made each change of a plan. What several objects share is of the first changed object that refers to it.

    Who deletes an object is written nowhere in it.
    """
    found: dict[Key, Actor] = {}
    shared: dict[Key, Actor] = {}
    items: list[tuple[Definition, bool]] = [(each.definition, each.action == "remove") for each in plan.changes]
    for item, is_removed in [*items, *((each, False) for each in plan.adopted)]:
        actor = known.get((item.kind, item.owner))
        if actor is None:
            continue
        if is_removed:
            actor = Actor("", actor.via, actor.object, actor.uid, actor.resource_version, actor.generation)
        found[item.key] = actor
        for key in references(item):
            shared.setdefault(key, actor)
    return {**shared, **found}
