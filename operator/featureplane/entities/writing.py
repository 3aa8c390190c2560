"""A single row for the online store, with all that `/write-to-online-store` asks of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable, WriteRefused
from featureplane.parity.served import patiently
from featureplane.serving.catalogue.served import Catalogue
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.store import Away, open_store
from featureplane.serving.writing.outcome import NotTaken, Outcome
from featureplane.serving.writing.request import WriteRequest
from featureplane.serving.writing.writer import OnlineWriter
from featureplane.settings import Stores


def write(
    stores: Stores, catalogue: Catalogue, view: str, row: Mapping[str, Any], *, only_check: bool = False
) -> Outcome:
    """Write a row of plain values: join keys, features and `event_timestamp`; or look whether it could be.

    Raises FeatureplaneError for a value that a check or a type refuses and for a view that Feast alone writes,
    OnlineStoreUnavailable, and WriteRefused where Redis takes no rows.
    """
    request = WriteRequest({name: [value] for name, value in row.items()}, 1, view, field=view)
    try:
        return asyncio.run(_write(stores, catalogue, request, only_check=only_check))
    except Refused as error:
        raise FeatureplaneError(str(error)) from error
    except ForFeast as error:
        raise FeatureplaneError(
            f"rows of {view} are written by Feast alone; call write_to_online_store of its SDK"
        ) from error
    except Away as error:
        raise OnlineStoreUnavailable(f"Redis at {stores.redis} does not answer: {error}") from error
    except NotTaken as error:
        raise WriteRefused(f"Redis at {stores.redis} takes no rows: {error}") from error


async def _write(stores: Stores, catalogue: Catalogue, request: WriteRequest, *, only_check: bool) -> Outcome:
    store = await open_store(stores.redis)
    writer = OnlineWriter(lambda: catalogue, store)
    try:
        target = writer.target(request)
        if target.is_feasts:
            raise ForFeast
        async with writer.checked(request, target) as checked:
            if only_check:
                return Outcome()
            outcome: Outcome = await patiently()(writer.write, target, checked)
            return outcome
    finally:
        await store.close()
