"""Rows that the feature server is sent, of a view `stats` with one feature, written without the server around it."""

import asyncio
from collections.abc import Iterable

from featureplane.model.types import parse_type
from featureplane.online.expiry import Expiry
from featureplane.serving.catalogue.served import Catalogue, ServedView
from featureplane.serving.catalogue.writable import WritableView, Writing
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.serving.reading.store import open_store
from featureplane.serving.writing.request import WriteRequest
from featureplane.serving.writing.writer import OnlineWriter, Outcome
from featureplane.settings import RedisAddress

KEYS = (("entity", "Int64"),)
PROJECT = "feast"


def key_of(entity: int) -> bytes:
    (key,) = KeyMaker(KEYS, PROJECT).keys([[entity]])
    return key


def push(
    address: RedisAddress, entities: Iterable[int], seconds: float, *, ttl: int = 0, expiry: Expiry | None = None
) -> Outcome:
    """A row of each entity with this event time."""
    view = ServedView("stats", KEYS, ("a",), ttl)
    writing = Writing({"stats": WritableView((parse_type("Int64"),), "time")}, persistent=expiry)
    catalogue = Catalogue(PROJECT, {"stats": view}, writing=writing)
    numbers = list(entities)
    columns = {"entity": numbers, "a": numbers, "time": [seconds] * len(numbers)}

    async def run() -> Outcome:
        store = await open_store(address)
        try:
            writer = OnlineWriter(lambda: catalogue, store)
            request = WriteRequest(columns, len(numbers), view="stats")
            target = writer.target(request)
            async with writer.checked(request, target) as checked:
                return await writer.write(target, checked)
        finally:
            await store.close()

    return asyncio.run(run())
