"""The fast path's HTTP server in a thread of the test, on a Redis of its choice and a catalogue without a registry.

What is tested with it is the worker's own code but for its `main`; processes are the matter of other tests.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import httpx
import uvicorn
import uvloop

from featureplane.online.layout import field, time_field
from featureplane.registry.protos import Value
from featureplane.serving.catalogue.served import UNDESCRIBED, Catalogue, Described, ServedView
from featureplane.serving.http.app import App, Parts
from featureplane.serving.http.connection import Connection
from featureplane.serving.http.draining import DrainingServer
from featureplane.serving.http.elsewhere import FeastApp
from featureplane.serving.http.feast_answers import Secrets
from featureplane.serving.http.lane import Lane
from featureplane.serving.listening import claim
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.serving.reading.reader import OnlineReader
from featureplane.serving.reading.store import open_store
from featureplane.serving.tls import Certificate
from featureplane.settings import RedisAddress
from patience import PATIENCE, until

PROJECT = "feast"
VIEW = "rides"
FEATURES = ("trips", "rating")
DRIVER = (("driver_id", "Int64"),)
TIME = b"\x08\x80\xa4\xf1\xae\x06"
REFERENCES = [f"{VIEW}:{feature}" for feature in FEATURES]


def key_of(driver: int) -> bytes:
    return KeyMaker(DRIVER, PROJECT).keys([[driver]])[0]


def row_of(driver: int, features: Sequence[str] = FEATURES, view: str = VIEW) -> dict[bytes, bytes]:
    values = {field(view, name): Value(double_val=driver + place / 4) for place, name in enumerate(features)}
    return {**{name: value.SerializeToString() for name, value in values.items()}, time_field(view): TIME}


def fill(redis: Any, drivers: range, features: Sequence[str] = FEATURES) -> None:
    pipeline = redis.pipeline(transaction=False)
    for driver in drivers:
        pipeline.hset(key_of(driver), mapping=row_of(driver, features))
    pipeline.execute()


def asking(*drivers: Any, features: Sequence[str] = tuple(REFERENCES)) -> dict[str, Any]:
    return {"features": list(features), "entities": {"driver_id": list(drivers)}}


def values_of(answer: httpx.Response) -> list[list[Any]]:
    """The columns of an answer."""
    assert answer.status_code == 200, answer.text
    return [column["values"] for column in answer.json()["results"]]


class Nothing:
    """Neither counts, nor has problems."""

    def answered(self, endpoint: str, answer: Any, seconds: float) -> None: ...

    def refused(self, endpoint: str, *, away: bool = False) -> None: ...

    def passed_on(self, endpoint: str, status: int, seconds: float) -> None: ...

    def problems(self) -> dict[str, str]:
        return {}


class FastServer:
    def __init__(
        self,
        address: RedisAddress,
        catalogue: Callable[[], Catalogue],
        feast: str,
        certificate: Certificate | None,
        *,
        with_lane: bool,
    ) -> None:
        self._address, self._catalogue, self._feast = address, catalogue, feast
        self._certificate, self._with_lane = certificate, with_lane
        self.lane: Lane
        self._claimed = claim("127.0.0.1", 0)
        self.port = self._claimed.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        trusted = ssl.create_default_context(cafile=str(certificate.files[0])) if certificate else True
        self.client = httpx.Client(base_url=self.url, verify=trusted, trust_env=False, timeout=PATIENCE)
        self.server: DrainingServer
        self.store: Any
        self.loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def ask(self, *drivers: Any, **more: Any) -> httpx.Response:
        return self.client.post("/get-online-features", json=asking(*drivers, **more))

    def ask_until(self, status: int, *drivers: int) -> httpx.Response:
        """Ask until the answer has this status."""

        def has_it() -> httpx.Response:
            answer = self.ask(*(drivers or (1,)))
            assert answer.status_code == status, answer.text
            return answer

        return until(has_it)

    def stop(self) -> None:
        self.server.should_exit = True

    def wait(self) -> None:
        """Until it has ended."""
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self.client.close()
        self.wait()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = await open_store(self._address)
        feast = FeastApp(self._feast, Secrets(redis=self._address))
        reader = OnlineReader(self._catalogue, self.store)
        app = App(
            Parts(
                reader=reader,
                elsewhere=feast,
                health=Nothing(),
                meter=Nothing(),
                routes={},
                closed={},
            )
        )
        config = uvicorn.Config(
            app, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=8, backlog=2048,
        )  # fmt: skip
        config.load()
        config.ssl = self._certificate.context if self._certificate else None
        self.lane = Lane(reader, Nothing())
        self.server = DrainingServer(config, self.lane if self._with_lane else None)
        serving = asyncio.create_task(self.server.serve(sockets=[self._claimed]))
        while not self.server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        self._ready.set()
        await serving
        await feast.close()
        await self.store.close()


@contextmanager
def fast_server(
    address: RedisAddress,
    views: Mapping[str, Sequence[str]] | None = None,
    feast: str = "nowhere",
    certificate: Certificate | None = None,
    *,
    with_lane: bool = True,
    described: Mapping[str, Described] = MappingProxyType({}),
) -> Iterator[FastServer]:
    """A server of these views, each with its features, all of drivers; `feast` is the socket of Feast's app, and with
    a certificate it speaks TLS. `with_lane` says whether simple requests may go past the application, `described` what
    some of the views say of themselves.
    """
    served = {
        name: ServedView(name, DRIVER, tuple(names), described=described.get(name, UNDESCRIBED))
        for name, names in (views or {VIEW: FEATURES}).items()
    }
    catalogue = Catalogue(PROJECT, served, entities={"driver": "driver_id"})
    server = FastServer(address, lambda: catalogue, feast, certificate, with_lane=with_lane)
    try:
        yield server
    finally:
        server.close()
