"""Each project is looked at, whatever the stores of another do."""

import asyncio
from typing import Any, cast

from factories import a_project
from featureplane.controller import watchdog
from featureplane.controller.inventory import Inventory
from featureplane.controller.world import World
from featureplane.settings import OperatorSettings
from patience import PATIENCE
from unit.controller.test_inventory import in_cluster


def test_a_project_whose_redis_is_silent_keeps_no_other_waiting(monkeypatch):
    told = []
    inventory = Inventory(lambda key, why: told.append((key, why)))
    for name in ("first", "second"):
        inventory.observe("ADDED", in_cluster(a_project(name)))
    world = World(OperatorSettings.from_env({}), cast(Any, None), inventory, cast(Any, None))
    world.secret_versions = {item.project: {} for item in inventory.projects()}
    told.clear()

    async def no_secrets(*_: Any) -> dict[str, None]:
        return {}

    async def look() -> None:
        both_are_asked = asyncio.Barrier(2)

        async def trouble(*_: Any) -> tuple[str, str]:
            await both_are_asked.wait()
            return "OnlineStoreUnavailable", "nothing listens"

        monkeypatch.setattr(watchdog, "trouble_with", trouble)
        async with asyncio.timeout(PATIENCE):
            await watchdog.look_at_stores(world)

    monkeypatch.setattr(watchdog, "secrets_of", no_secrets)
    asyncio.run(look())
    assert sorted(told) == sorted((item.project, "online store changed") for item in inventory.projects())
