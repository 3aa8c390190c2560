"""How calls end: gRPC's status codes (grpc.github.io, "Status codes and their use in gRPC"), without importing gRPC."""

from enum import IntEnum

from featureplane.serving.reading.refusals import Refused


class Code(IntEnum):
    """The codes that this server uses."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_OF_HTTP = {
    401: Code.UNAUTHENTICATED, 403: Code.PERMISSION_DENIED, 404: Code.NOT_FOUND, 413: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED, 503: Code.UNAVAILABLE,
}  # fmt: skip
_SERVER_ERROR = 500


class Failed(Exception):
    """A call that ends with another code than OK, and a text for its client."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def failed(refused: Refused) -> Failed:
    """What is refused over HTTP with a status, as gRPC says it."""
    other = Code.INTERNAL if refused.status >= _SERVER_ERROR else Code.INVALID_ARGUMENT
    return Failed(_OF_HTTP.get(refused.status, other), str(refused))
