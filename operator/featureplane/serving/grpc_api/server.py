"""A worker's server for gRPC: Feast's two services, health and reflection, in the loop that answers HTTP.

h2corn speaks HTTP/2 in Rust and hands requests over as ASGI: a call costs a fifth of what gRPC's own server for asyncio
takes (ADR 10).
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from h2corn import Config, Server

from featureplane.serving.access.access import Access
from featureplane.serving.counting import GRPC_ONLINE_FEATURES, Counts
from featureplane.serving.grpc_api import health, reflection
from featureplane.serving.grpc_api.app import GrpcApp, Unary
from featureplane.serving.grpc_api.calls import ReadCalls
from featureplane.serving.http.app import MOST_BYTES
from featureplane.serving.http.asgi import App
from featureplane.serving.http.elsewhere import Elsewhere
from featureplane.serving.http.server import GRACE_SECONDS
from featureplane.serving.reading.reader import OnlineReader

SERVICE = "feast.serving.ServingService"
FEATURE_SERVER = "GrpcFeatureServer"
# Of one worker. A call too many gets 503 of HTTP, which is UNAVAILABLE to gRPC's clients; a connection too many is not
# accepted before another one ends.
_MOST_CONNECTIONS, _MOST_CALLS = 5_000, 2_000
# More of them get 431 of HTTP, which is UNKNOWN; larger ones end their connection.
_MOST_HEADERS, _MOST_HEADER_BYTES = 100, 64 << 10
# A client keeps its connection for as long as it lives; behind a proxy it may be gone without a word.
_IDLE_SECONDS = 900.0
_UNREAD_SECONDS = 20.0
logger = logging.getLogger(__name__)


def grpc_app(
    reader: OnlineReader,
    elsewhere: Elsewhere,
    meter: Counts,
    access: Access | None = None,
    *,
    more: Mapping[str, Unary] = MappingProxyType({}),
) -> GrpcApp:
    """The services; `elsewhere` answers what is not ours, `more` are methods of Feast's GrpcFeatureServer beside the
    one that reads.
    """
    calls = ReadCalls(reader, elsewhere, meter)
    names = (SERVICE, FEATURE_SERVER)
    checks = health.Health([*names, health.SERVICE, *reflection.SERVICES])
    reflects = reflection.Reflection([*names, health.SERVICE, *reflection.SERVICES])
    unary = {
        f"/{SERVICE}/GetFeastServingInfo": calls.info,
        **{f"/{name}/GetOnlineFeatures": calls.online_features for name in names},
        **{f"/{FEATURE_SERVER}/{name}": call for name, call in more.items()},
        f"/{health.SERVICE}/Check": checks.check,
    }
    streaming = {
        f"/{health.SERVICE}/Watch": checks.watch,
        **{f"/{name}/ServerReflectionInfo": reflects.info for name in reflection.SERVICES},
    }
    counted = {f"/{name}/GetOnlineFeatures": GRPC_ONLINE_FEATURES for name in names}
    counted |= {f"/{FEATURE_SERVER}/{name}": name for name in more}

    def turned_away(path: str) -> None:
        if path in counted:
            meter.refused(counted[path])

    return GrpcApp(unary, streaming, access, turned_away)


class GrpcListener:
    """An application on a host and a port, which other workers share (`listening.claim_shared`).

    With a certificate and its key (files in PEM) it speaks TLS.
    """

    def __init__(self, app: App, host: str, port: int, files: tuple[Path, Path] | None = None) -> None:
        self._app = app
        self._where = f"{host}:{port}"
        self._files = files
        self._running: tuple[Server, asyncio.Task[None]] | None = None

    async def start(self) -> int:
        """Listen; the port. Raises OSError or ValueError where that cannot be."""
        certificate, key = self._files or (None, None)
        config = Config(
            bind=(self._where,), reuse_port=True, certfile=certificate, keyfile=key, grpc=True, http1=False,
            lifespan="off", access_log=False, date_header=False, runtime_threads=1, backlog=2048,
            limit_connections=_MOST_CONNECTIONS, limit_concurrency=_MOST_CALLS,
            limit_request_fields=_MOST_HEADERS, h2_max_header_list_size=_MOST_HEADER_BYTES,
            h2_max_header_block_size=_MOST_HEADER_BYTES, h2_initial_stream_window_size=2 * MOST_BYTES,
            h2_initial_connection_window_size=4 * MOST_BYTES, timeout_keep_alive=_IDLE_SECONDS,
            h2_timeout_response_stall=_UNREAD_SECONDS, h2_timeout_write=_UNREAD_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        server = Server(self._app, config)
        running = asyncio.create_task(server.serve(), name="grpc")
        started = asyncio.create_task(server.wait_started())
        await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
            await running
            raise OSError(f"the server for gRPC at {self._where} ended as it began")
        started.result()
        self._running = server, running
        return int(server.addresses[0].rpartition(":")[2])

    async def renew(self) -> None:
        """Serve the certificate that the files hold now: who connects from here on gets it, and calls under way end."""
        before = self._running
        try:
            await self.start()
        except (OSError, ValueError):
            logger.exception("gRPC goes on with the certificate before")
            return
        await _stop(before)

    async def stop(self) -> None:
        """Take no more calls, and finish those that are there."""
        await _stop(self._running)
        self._running = None


async def _stop(running: tuple[Server, asyncio.Task[None]] | None) -> None:
    if running is not None:
        server, task = running
        server.shutdown()
        with suppress(RuntimeError):  # calls that did not end in time
            await task
