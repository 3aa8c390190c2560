"""Ports for servers that a test starts, ends and starts again."""

import random
import socket

from featureplane.local.redis_server import HOST

# Below those that systems give to whoever connects: one of these is nobody else's before its server listens, nor while
# it is restarted. That of a node's cluster bus, which Redis 6.2 takes from the port, is one of them as well.
_PORTS = range(10_000, 22_000)
_BUS = 10_000


def free_port() -> int:
    """A port that nobody has, nor the one that is 10,000 above it."""
    while True:
        port = random.choice(_PORTS)
        if _is_free(port) and _is_free(port + _BUS):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
