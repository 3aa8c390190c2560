"""A certificate on files that change."""

import socket
import ssl
import threading

import pytest

from featureplane.errors import FeatureplaneError
from featureplane.serving.tls import Certificate
from unit.access.certificates import write_certificate


def shown(certificate) -> bytes:
    """The certificate, in DER, that a new connection gets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with certificate.context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(listening.getsockname()) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            found = secure.getpeercert(binary_form=True)
            secure.send(b"x")
        thread.join()
    assert found
    return found


def as_written(folder) -> bytes:
    return ssl.PEM_cert_to_DER_cert((folder / "tls.crt").read_text())


def test_a_renewed_certificate_is_served_to_new_connections(tmp_path):
    certificate = Certificate(*write_certificate(tmp_path))
    assert shown(certificate) == as_written(tmp_path)
    assert not certificate.refresh()
    write_certificate(tmp_path, "second")
    assert certificate.refresh()
    assert shown(certificate) == as_written(tmp_path)


def test_a_secret_is_renewed_as_kubernetes_does_it(tmp_path):
    """By a link to a folder, put into the place of the one before in one step."""
    for number in ("one", "two"):
        (tmp_path / number).mkdir()
        write_certificate(tmp_path / number, number)
    (tmp_path / "data").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"data/{name}")
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert certificate.refresh()
    assert shown(certificate) == as_written(tmp_path / "two")


BROKEN = {
    "a key of another": lambda folder, other: (folder / "tls.key").write_bytes((other / "tls.key").read_bytes()),
    "half a file": lambda folder, _: (folder / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\nMIIB"),
    "no file": lambda folder, _: (folder / "tls.key").unlink(),
    "no certificate in it": lambda folder, _: (folder / "tls.crt").write_text(""),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_pair_changes_nothing_and_is_said_once(tmp_path, caplog, spoil):
    folder, other = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    other.mkdir()
    write_certificate(other)
    certificate = Certificate(*write_certificate(folder))
    before = shown(certificate)
    spoil(folder, other)
    assert not certificate.refresh()
    assert not certificate.refresh()
    assert shown(certificate) == before
    assert "cannot be used" in certificate.problem
    assert len(caplog.records) == 1
    write_certificate(folder)
    assert certificate.refresh()
    assert certificate.problem == ""
    assert shown(certificate) == as_written(folder) != before


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_server_does_not_start_with_a_broken_pair(tmp_path, spoil):
    folder, other = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    other.mkdir()
    write_certificate(other)
    files = write_certificate(folder)
    spoil(folder, other)
    with pytest.raises(FeatureplaneError, match=r"tls\.crt and the key .* cannot be used"):
        Certificate(*files)
