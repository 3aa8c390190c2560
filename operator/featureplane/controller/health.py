"""Probes and metrics over HTTP.

`/healthz` fails only for what a restart mends: an event loop that stands still, watches that miss changes, a writer
that never comes back. Databases that are down are no such thing. `/readyz` says whether everything there is was looked
at once.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from featureplane.controller import metrics
from featureplane.controller.queue import Queue
from featureplane.controller.world import World

# A writer waits two minutes for an answer of its process, four times.
_WRITER_SECONDS = 15 * 60


@dataclass
class Health:
    """What the probes answer from."""

    world: World
    queue: Queue
    # How many comparisons in a row found objects that the watches had not told of.
    missed: int = 0
    looked_once: bool = False

    def troubles(self) -> list[str]:
        """What only a restart mends."""
        now = time.time()
        stuck = [
            f"the writer of {key[1]} has worked for {now - register.busy_since:.0f} s"
            for key, register in self.world.registers.items()
            if register.busy_since is not None and now - register.busy_since > _WRITER_SECONDS
        ]
        return stuck + (["the watches miss changes"] if self.missed >= 2 else [])  # noqa: PLR2004

    async def alive(self, _: web.Request) -> web.Response:
        troubles = self.troubles()
        return web.Response(text="; ".join(troubles) or "ok", status=503 if troubles else 200)

    async def ready(self, _: web.Request) -> web.Response:
        self.looked_once = self.looked_once or (self.queue.is_open and self.queue.is_idle())
        text = "ok" if self.looked_once else "looking at everything for the first time"
        return web.Response(text=text, status=200 if self.looked_once else 503)


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def answering(health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Serve the probes while the block runs; yields the port, a free one for 0."""
    app = web.Application()
    app.add_routes([web.get("/healthz", health.alive), web.get("/readyz", health.ready), web.get("/metrics", _metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
