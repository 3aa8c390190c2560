"""The operator as a process: kopf's watches, the queue of projects, the probes, and an orderly end."""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable

import kopf

from featureplane.controller import handlers, health, logs, metrics, watchdog
from featureplane.controller.cluster import connected
from featureplane.controller.events import Events
from featureplane.controller.health import Health
from featureplane.controller.inventory import Inventory, ProjectKey
from featureplane.controller.kopf_settings import kopf_settings
from featureplane.controller.queue import Again, Queue
from featureplane.controller.reconcile import reconcile
from featureplane.controller.world import World
from featureplane.errors import FeatureplaneError
from featureplane.settings import OperatorSettings

logger = logging.getLogger(__name__)

# The garbage collector goes through new objects at every 700th otherwise, which is a tenth of the time of a start.
_NEW_OBJECTS = 20_000


def run(settings: OperatorSettings) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    logs.set_up(settings)
    # What is loaded stays, and a look at thousands of views makes a million objects, few of them in cycles.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
    asyncio.run(_run(settings))


async def _run(settings: OperatorSettings) -> None:
    async with connected(settings) as cluster:
        inventory = Inventory()
        world = World(settings, cluster, inventory, Events(cluster))
        queue = Queue(looking_at(world), settings.resync)
        inventory.on_change = queue.mark
        probes = Health(world, queue)
        ready = asyncio.Event()
        async with health.answering(probes, "0.0.0.0", settings.port) as port, asyncio.TaskGroup() as tasks:  # noqa: S104
            logger.info("probes and metrics at port %d", port)
            background = [
                tasks.create_task(_open(world, queue, ready), name="opening"),
                tasks.create_task(world.events.run(), name="events"),
                tasks.create_task(watchdog.compare_for_ever(world, probes), name="comparing"),
                tasks.create_task(watchdog.poll_stores(world), name="stores"),
                tasks.create_task(watchdog.rest_writers(world), name="resting"),
            ]
            await watchdog.until_served(world)
            await _watch(settings, inventory, ready)
            logger.info("ending")
            for task in background:
                task.cancel()
            await queue.close()
            for register in list(world.registers.values()):
                await register.close()


async def _watch(settings: OperatorSettings, inventory: Inventory, ready: asyncio.Event) -> None:
    """kopf, until a signal ends it; raises when a watch met an error that it cannot go on after."""
    await kopf.operator(
        registry=handlers.bind(inventory, settings),
        settings=kopf_settings(),
        standalone=True,
        clusterwide=settings.watched is None,
        namespaces=[settings.watched] if settings.watched else [],
        ready_flag=ready,
    )


async def _open(world: World, queue: Queue, ready: asyncio.Event) -> None:
    """Begin to look at projects when everything there is is known."""
    await ready.wait()
    while True:
        try:
            await watchdog.until_listed(world)
            break
        except FeatureplaneError as error:
            logger.warning("waiting for the Kubernetes API: %s", error)
            await asyncio.sleep(1)
    for key in world.inventory.project_keys():
        queue.mark(key, "start")
    queue.open()
    logger.info("%d objects are known", len(world.inventory.items))


def looking_at(world: World) -> Callable[[ProjectKey, frozenset[str]], Awaitable[Again]]:
    """A look at one project that never raises, measured and logged."""

    async def look(key: ProjectKey, reasons: frozenset[str]) -> Again:
        start, label = time.perf_counter(), metrics.metrics_label(key)
        with logs.reconcile_of(f"{key[0]}/{key[1]}"):
            try:
                again = await reconcile(world, key, reasons)
            except FeatureplaneError as error:
                logger.warning("%s", error)
                metrics.ERRORS.labels(label, type(error).__name__).inc()
                again = Again(failed=True)
            except Exception:
                logger.exception("a defect of Featureplane's; it is tried again")
                metrics.ERRORS.labels(label, "Defect").inc()
                again = Again(failed=True)
            seconds = time.perf_counter() - start
            metrics.RECONCILES.labels(label, "failed" if again.failed else "succeeded").inc()
            metrics.RECONCILE_SECONDS.labels(label).observe(seconds)
            logger.info("looked for %s in %.2f s", ", ".join(sorted(reasons)) or "nothing new", seconds)
        return again

    return look
