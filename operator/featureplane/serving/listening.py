"""Where a server listens: ports that are claimed before its processes start, and the files of its certificate.

The processes take seconds to start, and a port that is only known to be free may be somebody else's by then.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

from featureplane.errors import FeatureplaneError
from featureplane.serving.tls import Certificate


@dataclass(frozen=True)
class Where:
    """An address, and ports of it, 0 for a free one; without `grpc_port` nobody answers over gRPC.

    With a certificate and its key (files in PEM), HTTP and gRPC speak TLS.
    """

    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int | None = None
    certificate: Path | None = None
    key: Path | None = None

    def tls(self) -> Certificate | None:
        """Raises FeatureplaneError where the files cannot be used."""
        if self.certificate is None or self.key is None:
            return None
        return Certificate(self.certificate, self.key)


def claim(host: str, port: int) -> socket.socket:
    """A socket bound to the port, or to a free one for 0, that does not listen yet: the workers get this very socket.

    Raises FeatureplaneError where somebody else has the port.
    """
    claimed = _socket(host)
    # A port that is named may still have connections of an earlier server; a free one is for nobody else.
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port != 0)
    _bind(claimed, host, port, "--port")
    return claimed


def claim_shared(host: str, port: int) -> socket.socket:
    """A socket that keeps the port for other sockets of this user with SO_REUSEPORT, and never listens itself.

    gRPC takes no socket that somebody else has made. Raises FeatureplaneError where somebody else has the port, whether
    he would share it or not: SO_REUSEPORT alone would join him, and each got half of the calls.
    """
    alone = _socket(host)
    with alone:
        # Who listens is alone, also where he may pass over connections of an earlier server.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port != 0)
        _bind(alone, host, port, "--grpc-port", listens=True)
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Without SO_REUSEADDR: the next who wants to be alone here is refused, though this one does not listen.
        kept = _socket(host)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(kept, host, alone.getsockname()[1], "--grpc-port")
    return kept


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _bind(unbound: socket.socket, host: str, port: int, option: str, *, listens: bool = False) -> None:
    try:
        unbound.bind((host, port))
        if listens:
            unbound.listen(0)
    except OSError as error:
        unbound.close()
        raise FeatureplaneError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another {option}"
        ) from error
