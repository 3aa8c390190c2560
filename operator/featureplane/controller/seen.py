"""A project and what belongs to it, as it is when a look begins."""

from dataclasses import dataclass, replace

from featureplane import names
from featureplane.controller.inventory import Item, ProjectKey
from featureplane.controller.world import World


@dataclass(frozen=True)
class Seen:
    """A project and what belongs to it, as it was when the look began."""

    key: ProjectKey
    project: Item | None
    views: tuple[Item, ...]
    services: tuple[Item, ...]
    # The namespaces that are on their way out.
    terminating: frozenset[str] = frozenset()

    @property
    def members(self) -> tuple[Item, ...]:
        return (*self.views, *self.services)


async def gather(world: World, key: ProjectKey) -> Seen:
    """What is known now, and whether a namespace of it goes."""
    inventory = world.inventory
    seen = Seen(
        key,
        inventory.project(key),
        tuple(inventory.members(key, names.FEATURE_VIEW)),
        tuple(inventory.members(key, names.FEATURE_SERVICE)),
    )
    everything = [*seen.members, *([seen.project] if seen.project else [])]
    namespaces = {item.namespace for item in everything if item.deleting}
    going = [namespace for namespace in namespaces if await world.cluster.is_terminating(namespace)]
    return replace(seen, terminating=frozenset(going))
