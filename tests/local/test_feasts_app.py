"""What happens to Feast's own app, and what a client hears whose request is passed on to it."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fast_server import FastServer, fast_server
from featureplane.errors import FeatureplaneError
from featureplane.serving import on_demand as module
from featureplane.serving.http import elsewhere, patience
from featureplane.serving.on_demand import on_demand
from featureplane.serving.process import ServerProcess
from featureplane.settings import RedisAddress
from patience import PATIENCE, until

NO_REDIS = RedisAddress("127.0.0.1", 1)

# An app on a socket that is there already. What it is asked says what it does.
APP = """
import os, socket, sys, time
time.sleep(float(sys.argv[2]))
listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)
while True:
    connection, _ = listening.accept()
    asked = connection.recv(65536)
    if b"POST" in asked:
        print("asked", flush=True)
        time.sleep(60)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 4\\r\\n\\r\\nhal")
    if b"/v1/vector_stores/half" in asked:
        print("asked", flush=True)
        time.sleep(60)
    connection.sendall(b"f")
    connection.close()
"""


class App(ServerProcess):
    """As Feast's app is started and ended, but for what it runs."""

    def __init__(self, *command: str, descriptor: int) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, pass_fds=[descriptor])

    def end_when_it_was_asked(self) -> None:
        """What takes a minute to answer."""

        def end() -> None:
            assert self._process.stdout
            self._process.stdout.readline()
            self.stop(0.0)

        threading.Thread(target=end, daemon=True).start()


class Starts:
    """Starts an app; counts how often."""

    def __init__(self, seconds: float = 0.0, code: str = APP) -> None:
        self.made: list[App] = []
        self.made_at: list[float] = []
        self._seconds, self._code = seconds, code

    def __call__(self, descriptor: int) -> App:
        command = [sys.executable, "-c", self._code, str(descriptor), str(self._seconds)]
        self.made_at.append(time.monotonic())
        self.made.append(App(*command, descriptor=descriptor))
        return self.made[-1]


@contextmanager
def passing_on(start: Any, complaints: list[str] | None = None) -> Iterator[tuple[FastServer, Path]]:
    said = [] if complaints is None else complaints
    with on_demand(start, said.append) as path, fast_server(NO_REDIS, feast=str(path)) as server:
        yield server, path
        for app in getattr(start, "made", []):
            app.stop(0.0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BETWEEN_STARTS", 1.0)
    monkeypatch.setattr(module, "_BETWEEN_ATTEMPTS", 0.5)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)


def assert_not_there(answer: httpx.Response, text: str = "Feast's own app") -> None:
    assert answer.status_code == 503, answer.text
    assert text in answer.json()["message"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["retry-after"]


def ask_until_there(server: FastServer) -> None:
    def is_there() -> bool:
        answer = server.client.get("/v1/vector_stores")
        if not answer.is_success:
            assert_not_there(answer)
            return False
        return answer.text == "half"

    until(is_there)


def test_who_asks_first_waits_for_the_start() -> None:
    with passing_on(Starts(1.5)) as (server, _):
        begun = time.monotonic()
        assert server.client.get("/v1/vector_stores").text == "half"
        assert time.monotonic() - begun > 1.4


def test_where_it_may_not_be_started_everybody_is_told_at_once() -> None:
    def refuse(_: int) -> ServerProcess:
        raise FeatureplaneError("the registry at db.internal holds Python")

    complaints: list[str] = []
    with passing_on(refuse, complaints) as (server, _):
        for body in (b"{}", bytes(1 << 20)):
            answer = server.client.post("/search", content=body)
            assert_not_there(answer, "the server's log says why")
            assert "db.internal" not in answer.text
    assert complaints == ["the registry at db.internal holds Python"]


def test_an_app_that_ends_at_its_start_is_not_started_again_and_again() -> None:
    complaints: list[str] = []
    start = Starts(code="import sys; sys.exit(3)")
    with passing_on(start, complaints) as (server, _):
        while len(start.made) < 3:
            assert_not_there(server.client.get("/v1/vector_stores"))
    first, second, third = start.made_at
    assert min(second - first, third - second) > 0.9
    assert "exit status 3" in complaints[0]


def test_a_request_whose_app_is_killed_is_told_so_and_the_next_finds_another() -> None:
    start = Starts()
    with passing_on(start) as (server, _):
        ask_until_there(server)
        start.made[0].end_when_it_was_asked()
        assert_not_there(server.client.post("/search"))
        ask_until_there(server)
        assert len(start.made) == 2


def test_an_answer_that_ends_in_the_middle_is_not_taken_for_a_whole_one() -> None:
    start = Starts()
    with passing_on(start) as (server, _):
        ask_until_there(server)
        start.made[0].end_when_it_was_asked()
        with pytest.raises(httpx.RemoteProtocolError):
            server.client.get("/v1/vector_stores/half")
        assert server.client.get("/health").is_success


def test_a_socket_that_is_gone_is_said() -> None:
    with passing_on(Starts()) as (server, path):
        path.unlink()
        assert_not_there(server.client.get("/v1/vector_stores"))


def test_no_more_wait_for_it_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "MOST_WAITING", 3)
    start = Starts(6.0)
    with passing_on(start) as (server, _):
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(httpx.get(f"{server.url}/v1/vector_stores", timeout=PATIENCE).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 3 + [503] * 5


# An app whose errors say what a client shall not know, and which notes what it was sent and whether its clients stay.
TALKATIVE = """
import json, socket, sys, threading, time
from pathlib import Path
notes = Path(sys.argv[3])
listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)

def answer(connection):
    asked = b""
    while b"\\r\\n\\r\\n" not in asked:
        asked += connection.recv(65536)
    path = asked.split()[1].decode().strip("/").replace("/", ".")
    (notes / path).write_bytes(asked)
    if path in ("search", "push"):
        connection.settimeout(4.0 if path == "push" else 100.0)
        try:
            end = connection.recv(1)
            (notes / (path + ".end")).write_text("left" if not end else "more")
        except TimeoutError:
            (notes / (path + ".end")).write_text("stayed")
        return
    said = json.loads(sys.argv[4])[path]
    body = said["body"].encode()
    top = "HTTP/1.1 %d X\\r\\nset-cookie: theirs=1\\r\\nconnection: close, x-hop\\r\\nx-hop: 1\\r\\n"
    top += "content-length: %d\\r\\n\\r\\n"
    connection.sendall((top % (said["status"], len(body))).encode() + body)
    connection.close()

while True:
    threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
"""
ABSENT = json.dumps({"module": "feast.errors", "class": "FeatureViewNotFoundException", "message": "no view redis"})
COLLISION = json.dumps({"module": "feast.errors", "class": "FeatureNameCollisionError", "message": "two of a name"})
SAID = {
    "v1.vector_stores": {"status": 500, "body": "connection to cache.internal:6379 failed for user reader, pa55word"},
    "docs": {"status": 404, "body": json.dumps(ABSENT)},
    "redoc": {"status": 422, "body": "no answer of cache.internal:6379"},
    "openapi.json": {"status": 422, "body": "AUTH pa55word is refused"},
    "docs.oauth2-redirect": {"status": 500, "body": json.dumps(COLLISION)},
    "chat": {"status": 200, "body": "fine"},
}


@contextmanager
def talkative(folder: Path) -> Iterator[FastServer]:
    address = RedisAddress("cache.internal", 1, username="reader", password="pa55word")

    def start(descriptor: int) -> App:
        command = [sys.executable, "-c", TALKATIVE, str(descriptor), "0", str(folder), json.dumps(SAID)]
        made.append(App(*command, descriptor=descriptor))
        return made[-1]

    made: list[App] = []
    with on_demand(start, print) as path, fast_server(address, feast=str(path)) as server:
        yield server
        for app in made:
            app.stop(0.0)


def test_what_feasts_errors_say_of_the_inside_is_for_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with talkative(tmp_path) as server:
        for path, status in (("/v1/vector_stores", 500), ("/redoc", 422), ("/openapi.json", 422)):
            answer = server.client.get(path)
            assert answer.status_code == status
            assert "Feast's own app" in answer.json()["message"]
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert not any(word in answer.text for word in ("cache", "6379", "reader", "pa55word"))
            assert answer.headers["x-request-id"] in caplog.text
        assert "cache.internal:6379 failed" in caplog.text
        assert "pa55word" not in caplog.text
        kept = server.client.get("/docs")
        assert (kept.status_code, kept.json()) == (404, ABSENT)
        kept = server.client.get("/docs/oauth2-redirect")
        assert (kept.status_code, kept.json()) == (500, COLLISION)


def until_there(path: Path) -> str:
    return str(until(lambda: path.exists() and path.read_text()))


@pytest.mark.parametrize(("path", "end"), [("search", "left"), ("push", "stayed")])
def test_a_read_is_given_up_when_its_client_leaves_and_a_write_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, end: str
) -> None:
    monkeypatch.setattr(patience, "HALF_CLOSED_SECONDS", 0.2)
    with talkative(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as made:
            made.sendall(f"POST /{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            until_there(tmp_path / path)
        assert until_there(tmp_path / f"{path}.end") == end


def test_headers_of_a_connection_and_cookies_of_others_are_not_passed_on(tmp_path: Path) -> None:
    with talkative(tmp_path) as server:
        headers = {"connection": "keep-alive, X-Private", "x-private": "1", "x-kept": "2", "expect": "100-continue"}
        for _ in range(2):
            answer = httpx.get(f"{server.url}/chat", headers=headers, trust_env=False, timeout=PATIENCE)
            assert answer.headers["set-cookie"] == "theirs=1"
            assert "x-hop" not in answer.headers
            sent = (tmp_path / "chat").read_text().lower()
            assert "x-kept: 2" in sent
            assert "x-private" not in sent
            assert "expect" not in sent
            assert "theirs" not in sent


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/x-www-form-urlencoded"}])
def test_feasts_app_is_told_that_json_is_json(tmp_path: Path, headers: dict[str, str]) -> None:
    with talkative(tmp_path) as server:
        httpx.post(f"{server.url}/chat", content=b'{"a": 1}', headers=headers, trust_env=False, timeout=PATIENCE)
    assert "content-type: application/json\n" in (tmp_path / "chat").read_text().lower()


def test_a_websocket_of_feasts_is_told_what_to_use() -> None:
    with passing_on(Starts()) as (server, _):
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "eA==",
            "sec-websocket-version": "13",
        }
        answer = server.client.get("/ws/chat", headers=headers)
    assert answer.status_code == 501
    assert "POST /chat" in answer.json()["message"]
