"""An encrypted connection to Redis. It takes openssl and a redis-server with TLS on the PATH (Debian's)."""

from dataclasses import replace

from data.writing.test_tls import address
from fast_server import fast_server, fill, values_of
from featureplane.online.connect import connect

__all__ = ["address"]


def test_rows_come_over_an_encrypted_connection(address):
    with connect(address) as redis:
        fill(redis, range(10))
    with fast_server(address) as server:
        assert values_of(server.ask(*range(10)))[1] == [float(driver) for driver in range(10)]


def test_a_server_with_an_unknown_certificate_is_not_read(address):
    with fast_server(replace(address, ca_file="")) as server:
        assert "its certificate is not to be trusted" in server.ask(1).json()["message"]


def test_a_server_that_speaks_no_tls_is_said(address, tmp_path):
    with fast_server(replace(address, tls=False)) as server:
        answer = server.ask(1)
        assert answer.status_code == 503


def test_a_file_of_certificates_that_is_not_there_is_said(address):
    with fast_server(replace(address, ca_file="/nowhere/ca.pem")) as server:
        answer = server.ask(1)
        assert "CA certificates is not there" in answer.json()["message"]
        assert "/nowhere" not in answer.text
