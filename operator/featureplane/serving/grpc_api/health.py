"""gRPC's health service (grpc/grpc, doc/health-checking.md): this process answers, so it is well."""

import asyncio
from collections.abc import AsyncIterator, Collection

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from featureplane.serving.grpc_api.status import Code, Failed
from featureplane.serving.http.asgi import Scope

SERVICE = "grpc.health.v1.Health"
_SERVING: bytes = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
_UNKNOWN: bytes = health_pb2.HealthCheckResponse(
    status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
).SerializeToString()


class Health:
    """Says of `services`, and of the server, whose name is empty, that they serve."""

    def __init__(self, services: Collection[str]) -> None:
        self._names = {"", *services}

    async def check(self, body: bytes, _: Scope) -> bytes:
        if self._asked(body) not in self._names:
            raise Failed(Code.NOT_FOUND, "there is no such service here")
        return _SERVING

    async def watch(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Once, and then nothing: it ends with its client, or with the server."""
        has_answered = False
        async for body in requests:
            if has_answered:
                raise Failed(Code.INTERNAL, "the request is more than one message")
            yield _SERVING if self._asked(body) in self._names else _UNKNOWN
            has_answered = True
        if has_answered:
            await asyncio.Event().wait()

    @staticmethod
    def _asked(body: bytes) -> str:
        try:
            return str(health_pb2.HealthCheckRequest.FromString(body).service)
        except DecodeError:
            raise Failed(Code.INVALID_ARGUMENT, "the message is no HealthCheckRequest") from None
