"""Our finalizer: on what is about to be registered, and off what is let go."""

from collections.abc import Iterable, Mapping

from featureplane.controller.cluster import DECLARED
from featureplane.controller.concurrently import concurrently
from featureplane.controller.deletion import Fate, Release
from featureplane.controller.inventory import Item, ObjectKey
from featureplane.controller.judge import Verdict
from featureplane.controller.seen import Seen
from featureplane.controller.world import World
from featureplane.errors import ClusterError

RESOURCES = {resource.kind: resource for resource in DECLARED}


async def hold(world: World, seen: Seen, verdict: Verdict) -> tuple[Verdict, list[ClusterError]]:
    """Put the finalizer on the project and on all that is right: from now on nothing of it goes without our knowing.

    What is wrong and was never registered can go without us. What could not be held is left for the next look.
    """
    items = [item for item in seen.members if item.key not in verdict.problems]
    items += [seen.project] if seen.project else []
    wanted = [item for item in items if not item.held and not item.deleting]
    errors = await concurrently(_held(world, item, held=True) for item in wanted)
    left = {item.key for item in wanted if not item.held}
    return (verdict.later(left) if left else verdict), errors


async def let_go(world: World, seen: Seen, fates: Mapping[ObjectKey, Fate]) -> list[ClusterError]:
    """Take the finalizer off what is done with, and say why where there is something to say."""
    everything: Iterable[Item] = (*seen.members, *([seen.project] if seen.project else []))
    released = [(item, fates[item.key]) for item in everything if item.key in fates]
    going = [(item, fate) for item, fate in released if isinstance(fate, Release) and item.held]
    errors = await concurrently(_held(world, item, held=False) for item, _ in going)
    for item, fate in going:
        if fate.reason and not item.held and item.namespace not in seen.terminating:
            world.events.tell(item, fate.reason, fate.message, warning=fate.reason == "Orphaned")
    return errors


async def _held(world: World, item: Item, *, held: bool) -> None:
    await world.cluster.hold(RESOURCES[item.kind], item.namespace, item.name, item.uid, held=held)
    item.held = held
