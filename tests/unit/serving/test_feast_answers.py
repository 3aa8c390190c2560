"""Which errors of Feast's own app are kept from clients of a project on Cassandra, and what of them the log has."""

import json
import os
import subprocess
import sys

import pytest

from featureplane.serving.http.feast_answers import MOST_OF_AN_ERROR, Secrets, error_of
from featureplane.settings import CassandraAccount

PASSWORD = "p@ss, w:rd=/'\"%é"
SECRETS = Secrets(cassandra=CassandraAccount("reader", PASSWORD), nodes=[("cassandra-0.fraud", 9142), ("::1", 9142)])


@pytest.mark.parametrize(
    "text",
    [
        "Unable to connect to any servers: {'cassandra-0.fraud:9142': 'timed out'}",
        "Failed to authenticate to 10.4.0.7:9142: Error from server: code=0100 [Bad credentials]",
        "ConnectionRefusedError(111, \"Tried connecting to [('10.4.0.7', 9142)]. Last error: Connection refused\")",
        "errors={'[fd00::8]:9142': 'Client request timeout'}",
        "errors={}, last_host=::1:9142",
        "errors={}, last_host=fd00::7:9142",
        "User reader has no SELECT permission on <table fraud.rows> or any of its parents",
        'message="Provided username reader and/or password are incorrect"',
        "UnresolvableContactPoints at cassandra-0.fraud",
        f"it was sent {PASSWORD} by us",
        f"it was sent {PASSWORD!r}",
        json.dumps(f"it was sent {PASSWORD}"),
        json.dumps(json.dumps({"message": PASSWORD})),
        json.dumps({"message": PASSWORD}, ensure_ascii=False),
    ],
)
def test_what_names_cassandra_or_its_user_is_kept_from_clients(text: str) -> None:
    assert SECRETS.are_in(text)
    said = error_of(422, text.encode(), SECRETS, "1")
    assert said is not None
    assert (said.status, PASSWORD in str(said), "9142" in str(said)) == (422, False, False)


@pytest.mark.parametrize(
    "text",
    [
        "Feature view reader does not exist in project cassandra-0.fraud",
        "the transaction 9142 of 10.4.0.7 at 12:30:00",
        "the reader's address is 10.4.0.7:80, at 2026-01-10T12:30:00",
        "transaction: 12:9142",
    ],
)
def test_what_only_looks_like_it_is_said(text: str) -> None:
    assert error_of(422, text.encode(), SECRETS, "1") is None


@pytest.mark.parametrize("piece", [":", "a:", "1.", "10.4.0.7:", "user:"])
def test_a_long_text_of_a_client_is_looked_at_in_one_go(piece: str) -> None:
    """Looking again from each place to the end would take hours, and the test's time is up long before."""
    assert not SECRETS.are_in(piece * (MOST_OF_AN_ERROR // len(piece)))


def test_a_project_without_cassandra_has_no_such_secrets() -> None:
    assert not Secrets().are_in("the address is 10.4.0.7:9042, of User reader")


@pytest.mark.parametrize("expression", ["said", "repr(said)", "json.dumps(said)", "json.dumps(json.dumps(said))"])
def test_feasts_processes_write_its_password_nowhere(expression: str) -> None:
    environment = {**os.environ, "FEATUREPLANE_CASSANDRA_PASSWORD": PASSWORD}
    program = (
        "import json, os, sys\n"
        "from featureplane.serving.discretion import keep_passwords_out\n"
        "keep_passwords_out()\n"
        "said = 'sent ' + os.environ['FEATUREPLANE_CASSANDRA_PASSWORD']\n"
        f"print({expression})\n"
        f"print({expression}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    for words in (done.stdout.decode(), done.stderr.decode()):
        assert "sent ***" in words
        assert "w:rd" not in words
