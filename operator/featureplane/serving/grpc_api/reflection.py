"""gRPC's server reflection, by which grpcurl and others learn what there is to call."""

from collections.abc import AsyncIterator, Sequence

from google.protobuf.message import DecodeError

from featureplane.serving.grpc_api.status import Code, Failed

# Its messages are the same in both.
SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class Reflection:
    """Describes `services`."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = services

    async def info(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        # It imports gRPC, which takes 10 MB, and few ever ask.
        from grpc_reflection.v1alpha import reflection, reflection_pb2

        servicer = reflection.ReflectionServicer(self._services)
        async for body in requests:
            try:
                asked = reflection_pb2.ServerReflectionRequest.FromString(body)
            except DecodeError:
                raise Failed(Code.INVALID_ARGUMENT, "the message is no ServerReflectionRequest") from None
            for answer in servicer.ServerReflectionInfo(iter([asked]), None):
                answer.original_request.CopyFrom(asked)
                yield answer.SerializeToString()
