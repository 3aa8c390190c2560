"""uvicorn as a worker runs it: on a socket that is there already, with TLS, and with gRPC beside it."""

import asyncio
import signal
import socket
from contextlib import suppress
from typing import Any

import uvicorn

from featureplane.serving.http.connection import Connection
from featureplane.serving.http.draining import DrainingServer
from featureplane.serving.http.lane import Lane
from featureplane.serving.tls import Certificate

_KEEP_ALIVE_SECONDS = 30
GRACE_SECONDS = 8


async def serve(
    app: Any,
    claimed: socket.socket,
    certificate: Certificate | None = None,
    grpc: Any = None,
    lane: Lane | None = None,
) -> None:
    """Answer until SIGTERM; `grpc` is a server that has started, and stops with this one."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody asks for a client's address.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=2048,
    )
    config.load()
    # uvicorn raises the signal that ended it once more, when there is still something to do for the worker.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if certificate is None:
        await _Both(config, grpc, lane).serve(sockets=[claimed])
        return
    config.ssl = certificate.context
    renewing = asyncio.create_task(certificate.follow())
    try:
        await _Both(config, grpc, lane).serve(sockets=[claimed])
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing


class _Both(DrainingServer):
    """Requests over HTTP and over gRPC are finished at the same time: the time for both is one."""

    def __init__(self, config: uvicorn.Config, grpc: Any, lane: Lane | None) -> None:
        super().__init__(config, lane)
        self._grpc = grpc

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stopping = [self._grpc.stop()] if self._grpc is not None else []
        await asyncio.gather(super().shutdown(sockets), *stopping)
