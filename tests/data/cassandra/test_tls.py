"""An encrypted connection to Cassandra, and what is said where there can be none."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.commands import Place
from data.cassandra.cassandra_server import PASSWORD
from data.cassandra.project import VIEW, Fraud, asked, cassandra, found_by_doctor, objects
from factories import Object
from featureplane.local.redis_server import HOST
from featureplane.materialization.history import FAILED, SUCCEEDED
from featureplane.serving.app import serving
from unit.access.certificates import write_certificate

_CA_FILE = "FEATUREPLANE_CASSANDRA_CA_FILE"


@dataclass
class Trusting:
    """The project, and commands for it, that trust a file of certificate authorities."""

    fraud: Fraud
    place: Place
    patch: pytest.MonkeyPatch

    def of(self, authority: Path) -> None:
        self.patch.setenv(_CA_FILE, str(authority))
        self.place.variables[_CA_FILE] = str(authority)

    def over_tls(self, port: int) -> Object:
        return cassandra(port, tls=True, secretRef={"name": "transactions"})

    def refusal(self, online: Object, port: int) -> str:
        """What a run and `doctor` say alike."""
        run, found = self.fraud.copy(online), found_by_doctor(self.place, online)
        assert (run.result, found["state"]) == (FAILED, "fail")
        assert run.message == found["detail"]
        assert f"{HOST}:{port}" in run.message
        assert PASSWORD not in run.message
        return run.message


@pytest.fixture
def trusting(fraud: Fraud, place: Place, monkeypatch: pytest.MonkeyPatch) -> Trusting:
    made = Trusting(fraud, place, monkeypatch)
    made.of(fraud.server.certificate)
    return made


def test_rows_are_written_and_served_over_an_encrypted_connection(trusting: Trusting) -> None:
    fraud = trusting.fraud
    online = trusting.over_tls(fraud.server.tls_port)
    run = fraud.copy(online)
    assert (run.result, run.message) == (SUCCEEDED, "")
    assert fraud.tables() == [f"feast_{VIEW}"]
    with serving(fraud.project(*objects(online)), fraud.stores, fraud.root) as server:
        server.wait_until_ready()
        assert asked(server.url, "t2", "t1") == [99.0, 12.5]
    assert found_by_doctor(trusting.place, online)["state"] in {"ok", "warn"}


def test_another_authority_is_said_by_its_secret(trusting: Trusting, tmp_path: Path) -> None:
    authority, _ = write_certificate(tmp_path, "another")
    trusting.of(authority)
    port = trusting.fraud.server.tls_port
    said = trusting.refusal(trusting.over_tls(port), port)
    assert f"the certificate of Cassandra at {HOST}:{port} is not to be trusted: self-signed certificate" in said
    assert "its authority has to be 'ca.crt' in the Secret 'transactions'" in said


@pytest.mark.parametrize(
    ("text", "why"), [(None, "is not there"), ("no certificate", "holds no certificate in PEM")], ids=["none", "text"]
)
def test_a_file_that_holds_no_authority_is_said(trusting: Trusting, tmp_path: Path, text: str | None, why: str) -> None:
    if text:
        (tmp_path / "ca.crt").write_text(text)
    trusting.of(tmp_path / "ca.crt")
    port = trusting.fraud.server.tls_port
    said = trusting.refusal(trusting.over_tls(port), port)
    assert f"{why}; correct 'ca.crt' in the Secret 'transactions'" in said


def test_a_port_that_speaks_no_tls_is_said(trusting: Trusting) -> None:
    port = trusting.fraud.server.port
    said = trusting.refusal(trusting.over_tls(port), port)
    assert f"Cassandra at {HOST}:{port} speaks no TLS at this port" in said
    assert "the credentials in the Secret 'transactions'" in said


def test_a_port_that_speaks_nothing_but_tls_is_said(trusting: Trusting) -> None:
    port = trusting.fraud.server.tls_port
    said = trusting.refusal(cassandra(port), port)
    assert said.startswith(f"Cassandra at {HOST}:{port} does not answer"), said
    assert said.endswith("if it speaks TLS alone at this port correct spec.onlineStore.cassandra, port or tls"), said
