"""What is online: keys found by looking through Redis, and rows by the feature server's own way of reading."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable, StoreUnavailable
from featureplane.materialization.rows import View
from featureplane.online.connect import answering, connect, primaries
from featureplane.online.layout import is_key, pattern, time_field
from featureplane.parity.judging import OnlineRow
from featureplane.serving.catalogue.served import Catalogue
from featureplane.serving.reading.answer import OUTSIDE_MAX_AGE, Columns
from featureplane.serving.reading.reader import Answer, OnlineReader
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.request import Request
from featureplane.serving.reading.store import Away, open_store
from featureplane.serving.reading.times import micros_of
from featureplane.serving.reading.values import Undecodable
from featureplane.settings import RedisAddress

# Values that are asked for at once; a row may be long.
_VALUES = 20_000
# How much of each server is looked through for keys: so many steps of so many.
_STEPS, _STEP = 100, 1_000
_CLIENT = {"socket_connect_timeout": 10, "socket_timeout": 30}
# A request fails soon where Redis is silent; a check has time, in seconds.
_PATIENCE = 15.0


def online_keys(address: RedisAddress, view: View, most: int) -> list[bytes]:
    """Up to so many keys under which the view has a row. Raises OnlineStoreUnavailable."""
    try:
        return _online_keys(address, view, most)
    except StoreUnavailable as error:
        raise OnlineStoreUnavailable(str(error)) from error


def _online_keys(address: RedisAddress, view: View, most: int) -> list[bytes]:
    found: list[bytes] = []
    match, time = pattern(view.keys, view.project), time_field(view.name)
    with answering(address), closing(connect(address, **_CLIENT)) as client:
        for server in primaries(client):
            cursor = -1
            for _ in range(_STEPS):
                cursor, keys = server.scan(max(cursor, 0), match=match, count=_STEP)
                mine = [key for key in keys if is_key(key, view.keys, view.project)]
                with client.pipeline(transaction=False) as pipe:
                    for key in mine:
                        pipe.hexists(key, time)
                    answers = pipe.execute(raise_on_error=False)
                    # An error is about a key that holds no row at all: it is to be looked at.
                    found += [key for key, has in zip(mine, answers, strict=True) if has]
                if len(found) >= most or not cursor:
                    break
    return found[:most]


async def online_rows(
    address: RedisAddress, catalogue: Catalogue, view: View, entities: Sequence[tuple[Any, ...]]
) -> list[OnlineRow]:
    """What the feature server reads for each entity, given as the values of the view's join keys.

    Raises OnlineStoreUnavailable, and FeatureplaneError where nobody is served from the view.
    """
    store = await open_store(address)
    reader = OnlineReader(lambda: catalogue, store)
    at_once = max(_VALUES // (len(view.features) + 1), 1)
    rows: list[OnlineRow] = []
    try:
        for start in range(0, len(entities), at_once):
            rows += await _read(reader, view, entities[start : start + at_once])
    except Away as error:
        raise OnlineStoreUnavailable(f"Redis at {address} does not answer: {error}") from error
    except Refused as error:
        raise FeatureplaneError(f"{view.name} is not served: {error}") from error
    except ForFeast as error:
        raise FeatureplaneError(f"{view.name} is served by Feast's own server alone, and not compared") from error
    finally:
        await store.close()
    return rows


async def _read(reader: OnlineReader, view: View, entities: Sequence[tuple[Any, ...]]) -> list[OnlineRow]:
    """Where one of the rows cannot be read, that is what is said of it, and of no other."""
    columns = {name: [values[place] for values in entities] for place, (name, _) in enumerate(view.keys)}
    request = Request(columns, features=tuple(f"{view.name}:{name}" for name, _ in view.features))
    try:
        answer: Answer = await patiently()(reader.read, request)
        (found,) = answer.columns
        return [_row(found, place) for place in range(len(entities))]
    except Undecodable:
        if len(entities) == 1:
            return [OnlineRow(is_unreadable=True)]
        half = len(entities) // 2
        return [*await _read(reader, view, entities[:half]), *await _read(reader, view, entities[half:])]


def patiently() -> AsyncRetrying:
    """Calls what asks Redis until it answers, for a while."""
    return AsyncRetrying(
        retry=retry_if_exception_type(Away), wait=wait_exponential(multiplier=0.1, max=2),
        stop=stop_after_delay(_PATIENCE), reraise=True,
    )  # fmt: skip


def _row(columns: Columns, place: int) -> OnlineRow:
    time = columns.times[place]
    if time is None:
        return OnlineRow()
    return OnlineRow(
        micros_of(time),
        [column[place] for column in columns.stored],
        is_expired=any(column[place] == OUTSIDE_MAX_AGE for column in columns.statuses),
    )
