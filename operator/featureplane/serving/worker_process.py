"""A worker: the fast path in one process, ending when its parent does (see `process`). Never imports Feast."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from featureplane.errors import FeatureplaneError
from featureplane.serving.access.access import Access
from featureplane.serving.access.opening import open_access
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.following import Following
from featureplane.serving.child import read_request, when_parent_ends
from featureplane.serving.closed import closed_routes
from featureplane.serving.counting import Counts
from featureplane.serving.http.app import App, Parts, Writes
from featureplane.serving.http.elsewhere import FeastApp
from featureplane.serving.http.feast_answers import Secrets
from featureplane.serving.http.lane import Lane
from featureplane.serving.http.server import serve
from featureplane.serving.metrics_files import FOLDER
from featureplane.serving.page.files import page_routes
from featureplane.serving.reading.cassandra import Cassandra
from featureplane.serving.reading.reader import OnlineReader
from featureplane.serving.reading.store import RowStore, open_store
from featureplane.serving.store_size import follow_size
from featureplane.serving.tls import Certificate
from featureplane.settings import Settings

if TYPE_CHECKING:
    from featureplane.serving.grpc_api.server import GrpcListener

_BETWEEN_TRIES = 1.0
# Answers are trees of values, without a circle.
_COLLECTED_AFTER = (20_000, 20, 50)
logger = logging.getLogger("featureplane")


def main() -> None:
    request = read_request()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    may_go_on = when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    # Read when metrics are imported.
    os.environ[FOLDER] = request["metrics"]
    may_go_on.wait()
    # The thread that follows the registry must not keep requests waiting for the usual 5 ms.
    sys.setswitchinterval(0.002)
    with (
        socket.socket(fileno=request["socket"]) as claimed,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            runner.run(_serve(request, claimed))
        except FeatureplaneError as error:
            logger.error("%s", error)  # noqa: TRY400 - what to do about it is in its text
            sys.exit(1)


async def _serve(request: dict[str, Any], claimed: socket.socket) -> None:
    from featureplane.serving.meter import Meter
    from featureplane.serving.status import About, Status, state_of

    settings = Settings.from_env()
    access = open_access(request["access"], settings.in_cluster)
    certificate = Certificate(*map(Path, request["tls"])) if request["tls"] else None
    by_feast = request["cassandra"] is not None
    writing = _followed_writing(request) if request["writes"] and not by_feast else None
    followed = Followed(
        settings.postgres,
        request["project"],
        writing,
        is_versioned=request["versioned"],
        minds_permissions=access is not None,
    )
    await asyncio.to_thread(_first_look, followed)
    # What is there by now stays: a collector that looks at it again and again keeps requests waiting.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    following = Following(followed)
    following.start()
    store = await _open_store(request, settings)
    traces = _traces() if settings.traces else None
    traced = traces.store(store, settings.redis) if traces else store
    keeps_expired = request["keeps_expired"]
    reader = OnlineReader(lambda: followed.catalogue, traced, keeps_expired=keeps_expired, by_feast=by_feast)
    meter = Meter(lambda: state_of(followed, following, store, in_progress(), by_feast=by_feast))

    def in_progress() -> int:
        return app.in_progress + (lane.in_progress if lane else 0)

    about = About(
        request["project"],
        request["workers"],
        request["started"],
        Path(request["metrics"]),
        "Cassandra" if by_feast else "Redis",
    )
    nodes = request["cassandra"]["addresses"] if by_feast else ()
    secrets = Secrets(settings.postgres, settings.redis, settings.cassandra, nodes)
    feast = FeastApp(request["feast_socket"], secrets, lambda: store.outage if isinstance(store, Cassandra) else "")
    # Rows have a link of their own: a large batch is not in the way of who reads.
    rows = await open_store(settings.redis) if writing is not None else None
    writer = _writer(followed, rows) if rows is not None else None
    parts = Parts(
        reader=reader,
        elsewhere=feast,
        health=_Health(following, store, access, certificate),
        meter=meter,
        routes={**page_routes(), **Status(about, followed, following, store, meter).routes()},
        closed=closed_routes(writes=request["writes"]),
        access=access,
        writes=_writes(writer, feast, meter) if writer is not None else None,
    )
    app = App(parts)
    # Who has to say who he is, or is followed by a trace, takes the way of all others.
    lane = Lane(reader, meter) if access is None and traces is None else None
    metering = asyncio.create_task(meter.run())
    sizing = asyncio.create_task(_follow_size(store))
    grpc = await _grpc(request["grpc"], parts, certificate, traces, writer) if request["grpc"] else None
    try:
        await serve(traces.app(app) if traces else app, claimed, certificate, grpc, lane)
    finally:
        metering.cancel()
        sizing.cancel()
        meter.flush()
        if access is not None:
            await access.close()
        following.stop()
        await feast.close()
        await store.close()
        if rows is not None:
            await rows.close()
        followed.close()
        if traces:
            traces.close()


async def _open_store(request: Mapping[str, Any], settings: Settings) -> RowStore:
    if request["cassandra"] is None:
        return await open_store(settings.redis)
    store = Cassandra(**request["cassandra"])
    await store.open()
    return store


# What only writing needs takes 10 MB.
def _followed_writing(request: Mapping[str, Any]) -> Any:
    from featureplane.serving.catalogue.writing import FollowedWriting

    return FollowedWriting(request["project"], request["key_ttl_seconds"])


def _writer(followed: Followed, rows: RowStore) -> Any:
    from featureplane.serving.metrics import note_written
    from featureplane.serving.writing.writer import OnlineWriter

    return OnlineWriter(lambda: followed.catalogue, rows, note_written)


async def _follow_size(store: RowStore) -> None:
    from featureplane.serving.metrics import note_size

    await follow_size(store, note_size)


def _writes(writer: Any, feast: FeastApp, meter: Counts) -> Writes:
    from featureplane.serving.http import writes

    return writes.Writes(writer, feast, meter)


def _traces() -> Any:
    from featureplane.serving.http.app import ROUTES
    from featureplane.serving.traces import Traces

    return Traces(ROUTES)


async def _grpc(
    where: list[Any], parts: Parts, certificate: Certificate | None, traces: Any, writer: Any
) -> "GrpcListener":
    """A server that has started, on a host and a port. Nothing of gRPC is imported without one."""
    from featureplane.serving.grpc_api.server import GrpcListener, grpc_app
    from featureplane.serving.grpc_api.writes import WriteCalls

    more = WriteCalls(writer, parts.meter).methods
    app = grpc_app(parts.reader, parts.elsewhere, parts.meter, parts.access, more=more)
    host, port = where
    server = GrpcListener(
        traces.grpc_app(app) if traces else app, host, port, certificate.files if certificate else None
    )
    await server.start()
    if certificate is not None:
        certificate.on_renewal(server.renew)
    return server


def _first_look(followed: Followed) -> None:
    """Wait for a registry that does not answer yet: a pod's probes say how long that may take."""
    waiting = threading.Event()
    while True:
        try:
            followed.refresh(thoroughly=True)
        except FeatureplaneError as error:
            logger.warning("%s; trying again", error)
            with suppress(InterruptedError):
                waiting.wait(_BETWEEN_TRIES)
        else:
            return


class _Health:
    """What `/ready` says."""

    def __init__(
        self, following: Following, store: Any, access: Access | None, certificate: Certificate | None
    ) -> None:
        self._following = following
        self._store = store
        self._access = access
        self._certificate = certificate

    def problems(self) -> dict[str, str]:
        found = {
            "online store": self._store.is_away,
            "registry": self._following.problem,
            "access": self._access.problem if self._access else "",
            "certificate": self._certificate.problem if self._certificate else "",
        }
        return {name: why for name, why in found.items() if why}


if __name__ == "__main__":
    main()
