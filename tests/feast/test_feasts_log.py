"""What Feast's own app writes into the server's log: what it does, and when its stores fail whole tracebacks, with no
password in them.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from world import World

from factories import a_feature_view
from featureplane.serving import app
from featureplane.settings import PostgresAddress, Stores
from patience import PATIENCE

PASSWORD = "pa55.w0rd+of-the/stores"


@contextmanager
def betraying() -> Iterator[int]:
    """The port of a server that repeats what it is sent, as Redis and proxies do with commands they do not know."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(65536):
                        connection.sendall(
                            b"-ERR unknown command 'AUTH', with args beginning with: '%b' \r\n" % PASSWORD.encode()
                        )

        threading.Thread(target=answer, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def feasts_app(world: World, stores: Stores, log: Path) -> Iterator[httpx.Client]:
    path = str(world.folder / "socket")
    with socket.socket(socket.AF_UNIX) as listening, log.open("w") as words:
        listening.bind(path)
        listening.listen(16)
        process = app._feast(  # noqa: SLF001 - as it is started behind the workers
            world.declarations().project, stores, world.folder, words, False, listening.fileno()
        )
        try:
            with httpx.Client(
                base_url="http://feast", transport=httpx.HTTPTransport(uds=path), timeout=PATIENCE, trust_env=False
            ) as client:
                yield client
        finally:
            process.stop()


def test_a_password_that_redis_repeats_is_not_logged(world: World, tmp_path: Path) -> None:
    world.apply(a_feature_view("drivers"))
    log = tmp_path / "log"
    with betraying() as port:
        redis = replace(world.stores.redis, host="127.0.0.1", port=port, password=PASSWORD)
        with feasts_app(world, replace(world.stores, redis=redis), log) as client:
            body = {"features": ["drivers:price"], "entities": {"commodity": ["gold"]}}
            assert client.post("/get-online-features", json=body).status_code == 500
    said = log.read_text()
    assert "unknown command 'AUTH', with args beginning with" in said
    assert PASSWORD not in said


def test_gunicorn_makes_no_control_socket_in_the_users_home(world: World, tmp_path: Path) -> None:
    world.apply(a_feature_view("drivers"))
    log = tmp_path / "log"
    with feasts_app(world, world.stores, log) as client:
        assert client.get("/health").is_success
    said = log.read_text()
    assert "Starting gunicorn" in said
    assert "Control socket" not in said


def test_a_postgresql_that_is_away_is_logged_without_a_password(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.apply(a_feature_view("drivers"))
    log = tmp_path / "log"
    monkeypatch.setattr(app, "refuse_code", lambda *_: None)
    gone = PostgresAddress({**world.stores.postgres.keywords, "host": "127.0.0.1", "port": "1", "password": PASSWORD})
    with (
        feasts_app(world, replace(world.stores, postgres=gone), log) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.post("/get-online-features", json={})
    said = log.read_text()
    assert "Connection refused" in said
    assert PASSWORD not in said
