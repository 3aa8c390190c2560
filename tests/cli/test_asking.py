"""`get-online-features --server`: the server is all that is needed."""

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from unit.access.certificates import write_certificate
from unit.access.pages import pages

KEY = {"name": "driver_id", "type": "Int64", "entity": "driver"}
DESCRIBED = {
    "feature_views": [
        {"name": "trips", "join_keys": [KEY], "features": ["count", "rating"]},
        {"name": "words", "join_keys": [{"name": "word", "type": "String", "entity": "word"}], "features": ["count"]},
        {"name": "other_words", "join_keys": [{"name": "word", "type": "Int64", "entity": "x"}], "features": ["y"]},
    ],
    "feature_services": [{"name": "model", "join_keys": [KEY], "features": ["trips:rating"]}],
    "answered_by_feast": ["fresh"],
}


def column(name, value):
    return name, {"values": [value], "statuses": ["PRESENT"], "event_timestamps": ["2026-01-10T12:00:00Z"]}


@pytest.fixture
def asked(featureplane):
    """A command in an empty folder, and the request that its server got; the server describes what is `described`."""

    def run(options, described=DESCRIBED, status=200):
        requests = []

        def answer(path, _headers, body):
            if path == "/status/views":
                return status, described
            requests.append(body)
            names, results = zip(*(column(name, values[0]) for name, values in body["entities"].items()), strict=True)
            return 200, {"metadata": {"feature_names": names}, "results": results}

        with pages(answer) as server:
            ran = featureplane("get-online-features", "--server", server.url, *options.split())
        assert (ran.status, ran.err) == (0, "")
        assert not list(Path().iterdir())
        (request,) = requests
        return request

    return run


@pytest.mark.parametrize(
    ("options", "features", "entities", "full"),
    [
        ("-f trips -e driver_id=7", ["trips:count", "trips:rating"], {"driver_id": [7]}, False),
        ("-f words:count -e word=7,8", ["words:count"], {"word": ["7", "8"]}, False),
        ("-f trips:count -f words -e driver_id=7 -e word=7", ["trips:count", "words:count"],
         {"driver_id": [7], "word": ["7"]}, True),
        ("-f fresh:score -e driver_id=7 -e name=x", ["fresh:score"], {"driver_id": [7], "name": ["x"]}, False),
        ("-f trips@v2:count -e driver_id=07", ["trips@v2:count"], {"driver_id": ["07"]}, False),
    ],
)  # fmt: skip
def test_names_and_types_are_the_servers_and_what_it_does_not_know_goes_as_it_is(
    asked, options, features, entities, full
):
    assert asked(options) == {"features": features, "entities": entities, "full_feature_names": full}


def test_a_service_is_asked_by_its_name(asked):
    request = {"feature_service": "model", "entities": {"driver_id": [7]}, "full_feature_names": False}
    assert asked("-s model -e driver_id=7") == request
    assert asked("-s another -e driver_id=7") == {**request, "feature_service": "another"}


@pytest.mark.parametrize(
    ("described", "status"),
    [({"detail": "Not Found"}, 404), ([], 200), ({"feature_views": [{}]}, 200), (DESCRIBED, 500)],
)
def test_a_server_that_describes_nothing_is_asked_all_the_same(asked, described, status):
    request = {"features": ["trips"], "entities": {"driver_id": [7], "word": ["x"]}, "full_feature_names": False}
    assert asked("-f trips -e driver_id=7 -e word=x", described, status) == request


def test_a_value_that_cannot_be_is_refused_here(featureplane):
    with pages(lambda *_: (200, DESCRIBED)) as server:
        ran = featureplane("get-online-features", "--server", server.url, "-f", "trips", "-e", "driver_id=x")
    assert (ran.status, ran.out) == (2, "")
    assert "driver_id is Int64, so its values are whole numbers" in ran.err
    assert server.asked == {"/status/views": 1}


def test_without_files_a_server_has_to_be_named(featureplane):
    ran = featureplane("get-online-features", "-f", "trips", "-e", "driver_id=7", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "name the files of a project, or a server with --server\n"


@pytest.mark.parametrize("beside", ["files", "--project=feast", "--data-root=.", "a.yaml b.yaml --project=feast"])
def test_what_a_server_is_not_asked_about_is_refused(featureplane, beside):
    with pages(lambda *_: (200, DESCRIBED)) as server:
        question = ["-f", "trips", "-e", "driver_id=7", "--server", server.url]
        ran = featureplane("get-online-features", *beside.split(), *question)
    names = ", ".join(each.partition("=")[0] for each in beside.split())
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"--server asks that server alone; leave out {names}, or --server\n"
    assert not server.asked


@contextmanager
def private(folder, address="127.0.0.1"):
    """A server whose certificate, for this address, is its own authority; and that certificate's file."""
    certificate, key = write_certificate(folder, address=address)
    with pages(lambda *_: (503, {"message": "it is me"}), (certificate, key)) as server:
        yield server.url, certificate


@pytest.fixture
def tls(tmp_path_factory, monkeypatch):
    """A folder for certificates, and nobody who is trusted for the surroundings' sake."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path_factory.mktemp("tls")


QUESTION = ["get-online-features", "-f", "trips", "-e", "driver_id=7", "--server"]


def trust_folder(monkeypatch, certificate):
    """As `openssl rehash` makes it; a link's name is a digest of the subject."""
    ran = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", certificate], capture_output=True, check=True)
    certificate.with_name(f"{ran.stdout.decode().strip()}.0").symlink_to(certificate)
    monkeypatch.setenv("SSL_CERT_DIR", str(certificate.parent))


def test_an_authority_of_ssl_cert_file_is_trusted(featureplane, tls, monkeypatch):
    with private(tls) as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert featureplane(*QUESTION, url).err == f"the server at {url} answered 503: it is me\n"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not on the PATH")
def test_an_authority_in_ssl_cert_dir_is_trusted(featureplane, tls, monkeypatch):
    with private(tls) as (url, certificate):
        trust_folder(monkeypatch, certificate)
        assert featureplane(*QUESTION, url).err == f"the server at {url} answered 503: it is me\n"


def test_a_certificate_that_is_not_trusted_is_told_from_a_server_that_is_away(featureplane, tls):
    with private(tls) as (url, _):
        ran = featureplane(*QUESTION, url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        f"the certificate of the server at {url} is not trusted: self-signed certificate; SSL_CERT_FILE "
        "or SSL_CERT_DIR names the authorities that are\n"
    )
    assert featureplane(*QUESTION, url).err.startswith(f"no server answers at {url}: ")


def test_no_authority_mends_a_certificate_for_another_address(featureplane, tls, monkeypatch):
    with private(tls, "10.0.0.1") as (url, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        said = featureplane(*QUESTION, url).err
    assert said.startswith(f"the certificate of the server at {url} is not trusted: IP address mismatch, ")
    assert "SSL_CERT_FILE" not in said


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_said(featureplane, tls, monkeypatch, content):
    if content:
        (tls / "ca.crt").write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.crt"))
    ran = featureplane(*QUESTION, "https://127.0.0.1:1")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("SSL_CERT_FILE cannot be used: ")
