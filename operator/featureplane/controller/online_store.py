"""A project's Redis as its servers and runs meet it: whether it lets in who comes with what its Secret says.

Of a Cassandra only the Secret is looked at: its driver is large, and its servers have an exporter.
Nothing is written there and no key is read. What is registered does not depend on it, so it keeps nothing from the
registry; the project says what is wrong.
"""

import asyncio
from collections.abc import Mapping

from featureplane.controller.addresses import SecretTrouble, check_cassandra, redis_of
from featureplane.controller.cluster import Secret
from featureplane.model.feast_project import FeastProject
from featureplane.serving.reading.store import open_store
from featureplane.settings import RedisAddress

# A name that is looked up and a server that is busy take their time; one that is away is said to be after this.
_PATIENCE_SECONDS = 4.0
_PAUSE_SECONDS = 0.1

# A reason, and what is wrong and where to mend it.
Trouble = tuple[str, str]


async def trouble_with(
    project: FeastProject, secrets: Mapping[str, Secret | None], own_namespace: str
) -> Trouble | None:
    """Why the project's online store cannot be used; None where it can, as far as is looked."""
    try:
        if project.spec.online_store.cassandra is not None:
            check_cassandra(project, secrets)
            return None
        address = redis_of(project, secrets, own_namespace)
    except SecretTrouble as error:
        return error.reason, str(error)
    why = await _why_away(address)
    if not why:
        return None
    secret = project.spec.online_store.redis.secret_ref.name
    return "OnlineStoreUnavailable", f"Redis at {address} cannot be used: {why}; the Secret {secret!r} says where it is"


async def _why_away(address: RedisAddress) -> str:
    store = await open_store(address)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while store.is_away:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        return store.is_away
    finally:
        await store.close()
    return ""
