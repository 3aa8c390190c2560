"""Ports that are kept before anybody listens."""

import socket
import subprocess
import sys

import pytest

from featureplane.errors import FeatureplaneError
from featureplane.serving.listening import claim_shared

LOOPBACK = "127.0.0.1"


def joined(port):
    """As gRPC listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((LOOPBACK, port))
    made.listen()
    return made


def port_of(bound):
    return bound.getsockname()[1]


def test_workers_share_a_port_that_nobody_else_can_claim():
    with claim_shared(LOOPBACK, 0) as kept:
        with pytest.raises(FeatureplaneError, match="choose another --grpc-port"):
            claim_shared(LOOPBACK, port_of(kept))
        with joined(port_of(kept)), joined(port_of(kept)):
            with pytest.raises(FeatureplaneError, match="choose another --grpc-port"):
                claim_shared(LOOPBACK, port_of(kept))
            socket.create_connection((LOOPBACK, port_of(kept)), 1).close()


def test_a_port_is_not_shared_with_whoever_would():
    with joined(0) as theirs, pytest.raises(FeatureplaneError, match="Address already in use"):
        claim_shared(LOOPBACK, port_of(theirs))


def test_the_kept_socket_answers_nobody():
    with claim_shared(LOOPBACK, 0) as kept, pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port_of(kept)), 1)


def test_a_port_can_be_had_again_at_once():
    """Connections that the server closed first linger for a minute."""
    with claim_shared(LOOPBACK, 0) as kept, joined(port_of(kept)) as listening:
        port = port_of(kept)
        with socket.create_connection((LOOPBACK, port), 1) as client:
            listening.accept()[0].close()
            assert client.recv(1) == b""
    with claim_shared(LOOPBACK, port), joined(port):
        pass


def test_a_child_gets_none_of_it():
    with claim_shared(LOOPBACK, 0) as kept:
        child = f"import os; os.fstat({kept.fileno()})"
        assert subprocess.run([sys.executable, "-c", child], stderr=subprocess.DEVNULL, check=False).returncode == 1
