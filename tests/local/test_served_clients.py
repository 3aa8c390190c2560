"""What clients may send and how they may behave: clean errors, and never at the expense of others."""

import gzip
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.writing.redis_processes import RedisProcess
from fast_server import FEATURES, VIEW, FastServer, asking, fast_server, fill, values_of
from featureplane.serving.http import connection, patience
from featureplane.serving.http.app import MOST_BYTES
from patience import PATIENCE, until

# Wide rows, so that some thousand of them are a lot.
WIDE = tuple(f"f{number}" for number in range(50))
WIDER = tuple(f"g{number}" for number in range(99))
HUNDRED_MB = 100 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastServer]:
    redis = RedisProcess(tmp_path_factory.mktemp("redis")).start()
    with redis.client() as client:
        fill(client, range(100))
    try:
        with fast_server(redis.address, {VIEW: FEATURES, "wide": WIDE, "wider": WIDER}) as made:
            yield made
    finally:
        redis.kill()


@contextmanager
def connected(server: FastServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as made:
        yield made


def head(method: str = "POST", path: str = "/get-online-features", *headers: str, length: int | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: x", *headers]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def whole(*drivers: Any, headers: tuple[str, ...] = ()) -> bytes:
    body = json.dumps(asking(*drivers)).encode()
    return head("POST", "/get-online-features", *headers, length=len(body)) + body


class Answer:
    """The next answer on a connection, read to its end."""

    def __init__(self, made: socket.socket, *, interim: bool = False) -> None:
        self.raw = b""
        while b"\r\n\r\n" not in self.raw:
            self._more(made)
        top, _, self.body = self.raw.partition(b"\r\n\r\n")
        lines = top.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = 0 if interim else int(self.headers["content-length"])
        while len(self.body) < length:
            self.body += self._more(made)
        self.rest = self.body[length:]
        self.body = self.body[:length]

    def _more(self, made: socket.socket) -> bytes:
        data = made.recv(65536)
        assert data, f"closed after {self.raw!r}"
        self.raw += data
        return data


def assert_refused(answer: httpx.Response | Answer, *statuses: int) -> dict[str, Any]:
    status = answer.status_code if isinstance(answer, httpx.Response) else answer.status
    said = json.loads(answer.content if isinstance(answer, httpx.Response) else answer.body)
    assert status in statuses, said
    if isinstance(said, str):  # errors that Feast's SDK raises anew
        said = json.loads(said)
    assert said["message"]
    assert said["request_id"] == answer.headers["x-request-id"]
    return dict(said)


def is_closed(made: socket.socket) -> bool:
    """By the server; raises TimeoutError where it goes on for as long as the test waits."""
    with suppress(ConnectionResetError):
        while made.recv(65536):
            pass
    return True


# --- bodies


class Counted:
    """A body that is made as it is sent."""

    def __init__(self, size: int) -> None:
        self.size, self.sent = size, 0

    def __iter__(self) -> Iterator[bytes]:
        piece = bytes(1 << 16)
        while self.sent < self.size:
            self.sent += len(piece)
            yield piece


@pytest.mark.parametrize("headers", [{"content-length": str(HUNDRED_MB)}, {}], ids=["of a length", "chunked"])
def test_a_hundred_megabytes_are_refused_and_fill_no_memory(server: FastServer, headers: dict[str, str]) -> None:
    before = psutil.Process().memory_info().rss
    answer = server.client.post("/get-online-features", content=iter(Counted(HUNDRED_MB)), headers=headers)
    said = assert_refused(answer, 413)
    assert str(MOST_BYTES) in said["message"]
    assert psutil.Process().memory_info().rss - before < 20 << 20
    assert server.ask(1).status_code == 200


def test_a_large_body_is_refused_before_it_is_sent(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(head(length=HUNDRED_MB))
        assert_refused(Answer(made), 413)


def test_who_asks_for_leave_gets_it_or_is_told_at_once(server: FastServer) -> None:
    body = json.dumps(asking(1)).encode()
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=len(body)))
        assert Answer(made, interim=True).status == 100
        made.sendall(body)
        assert Answer(made).status == 200
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=HUNDRED_MB))
        answer = Answer(made)
        assert_refused(answer, 413)
        assert answer.headers["connection"] == "close"
        assert is_closed(made)


def test_what_is_too_much_for_one_request_is_refused(server: FastServer) -> None:
    many = assert_refused(server.ask(*range(100_000)), 413)
    assert "ask for 10000" in many["message"]
    wider = [*(f"wide:{name}" for name in WIDE), *(f"wider:{name}" for name in WIDER)]
    assert "ask for 6622 rows" in assert_refused(server.ask(*range(10_000), features=wider), 413)["message"]


def test_bodies_that_never_end_are_bounded_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featureplane.serving.http.body.MOST_ON_THEIR_WAY", 3 << 20)
    with ExitStack() as stack:
        half = bytes(900_000)
        slow = [stack.enter_context(connected(server)) for _ in range(6)]
        for made in slow:
            made.sendall(head(length=MOST_BYTES) + half)
        until(lambda: len(answered(slow)) >= 2)
        for made in answered(slow):
            assert_refused(Answer(made), 503)
        assert server.ask(1).status_code == 200
    server.ask_until(200)


def answered(some: list[socket.socket]) -> list[socket.socket]:
    return select.select(some, [], [], 0)[0]


def test_a_client_that_goes_away_in_the_middle_is_not_answered(
    server: FastServer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        with connected(server) as made:
            made.sendall(whole(1)[:-5])
    assert server.ask(1).status_code == 200
    assert caplog.text == ""


WAITING = [
    ("GET", "/health"), ("GET", "/ready"), ("HEAD", "/health"), ("POST", "/health"), ("POST", "/wp-login.php"),
    ("GET", "/get-online-features"), ("POST", "/search"),
]  # fmt: skip


@pytest.mark.parametrize("length", [5, HUNDRED_MB], ids=["short", "long"])
@pytest.mark.parametrize(("method", "path"), WAITING)
def test_what_follows_an_answer_is_never_taken_for_the_body_that_it_did_not_wait_for(
    server: FastServer, method: str, path: str, length: int
) -> None:
    """The client may send the body all the same, or not, where it is answered without leave (RFC 9110, 10.1.1)."""
    with connected(server) as made:
        made.sendall(head(method, path, "expect: 100-continue", length=length))
        first = Answer(made, interim=True)
        if first.status == 100:
            assert length == 5
            made.sendall(b"xxxxx" + whole(7))
            answer = Answer(_Ahead(first.rest or b"", made), interim=method == "HEAD")
            answer = Answer(_Ahead(answer.rest, made))
            assert json.loads(answer.body)["results"][1]["values"] == [7]
        else:
            assert first.headers["connection"] == "close"
            assert is_closed(made)


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["whole", "in two"])
@pytest.mark.parametrize(("method", "path"), WAITING)
def test_a_body_that_nobody_asked_for_is_not_taken_for_a_request(
    server: FastServer, method: str, path: str, pause: float
) -> None:
    smuggled = head("GET", "/ready")
    with connected(server) as made:
        made.sendall(head(method, path, length=len(smuggled)))
        time.sleep(pause)
        made.sendall(smuggled + whole(7))
        answer = Answer(made, interim=method == "HEAD")
        answer = Answer(_Ahead(answer.rest, made))
        assert json.loads(answer.body)["results"][1]["values"] == [7]


def test_who_asks_for_leave_while_nobody_reads_is_refused_for_good(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_UNREAD", -1)
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "expect: 100-continue", length=5))
        answer = Answer(made)
        assert_refused(answer, 503)
        assert answer.headers["connection"] == "close"
        assert is_closed(made)


# --- what is in a body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=10), some, max_size=4),
    max_leaves=12,
)
FIELDS = ["features", "feature_service", "entities", "full_feature_names", "include_feature_view_version_metadata"]
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)


def assert_clean(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        assert_refused(answer, 404, 413, 422)


@many
@given(
    body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode) | JSON.map(lambda it: json.dumps(it).encode())
)
def test_no_body_breaks_the_server(server: FastServer, body: bytes) -> None:
    assert_clean(server.client.post("/get-online-features", content=body))


@many
@given(name=st.sampled_from(FIELDS), value=JSON)
def test_no_value_of_a_field_breaks_the_server(server: FastServer, name: str, value: Any) -> None:
    body = json.dumps({**asking(1, 2), name: value})
    assert_clean(server.client.post("/get-online-features", content=body))


@many
@given(values=st.lists(JSON, max_size=3), more=st.dictionaries(st.text(max_size=10), st.lists(JSON, max_size=3)))
def test_no_entity_breaks_the_server(server: FastServer, values: list[Any], more: dict[str, Any]) -> None:
    body = json.dumps({"features": [VIEW], "entities": {**more, "driver_id": values}})
    assert_clean(server.client.post("/get-online-features", content=body))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"features":' * 5_000,
        b'{"entities":{"driver_id":[' + b"9" * 10_000 + b']},"features":["rides"]}',
        b'{"entities":{"driver_id":["' + b"9" * 10_000 + b'"]},"features":["rides"]}',
        b'{"entities":{"driver_id":["\\ud800"]},"features":["rides"]}',
        b"\xef\xbb\xbf{}",
        b"",
    ],
    ids=["deep", "deeper", "large number", "large text", "half a character", "BOM", "nothing"],
)
def test_odd_bodies_are_refused(server: FastServer, body: bytes) -> None:
    assert_refused(server.client.post("/get-online-features", content=body), 422)


@pytest.mark.parametrize("path", ["/get-online-features", "/search"])
def test_a_compressed_body_is_refused_as_such(server: FastServer, path: str) -> None:
    headers = {"content-encoding": "gzip"}
    answer = server.client.post(path, content=gzip.compress(json.dumps(asking(1)).encode()), headers=headers)
    assert_refused(answer, 415)
    assert "the body has the content-encoding gzip; send it as it is" in answer.json()["message"]
    assert answer.headers["accept-encoding"] == "identity"


# --- routes and methods


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/get-online-features", 405, "POST"),
        ("OPTIONS", "/get-online-features", 405, "POST"),
        ("DELETE", "/push", 405, "POST"),
        ("POST", "/health", 405, "GET, HEAD"),
        ("PUT", "/ready", 405, "GET, HEAD"),
        ("GET", "/wp-login.php", 404, None),
        ("GET", "/v1/vector_stores/a/b", 404, None),
        ("BREW", "/coffee", 400, None),
        ("CONNECT", "/health", 405, None),
    ],
)
def test_what_no_route_answers_is_refused_without_starting_feasts_app(
    server: FastServer, method: str, path: str, status: int, allowed: str | None
) -> None:
    answer = server.client.request(method, path)
    assert_refused(answer, status)
    assert answer.headers.get("allow") == allowed


def test_head_is_get_without_a_body(server: FastServer) -> None:
    answer = server.client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert server.ask(1).status_code == 200


# --- connections


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_refused(server: FastServer, garbage: bytes) -> None:
    with connected(server) as made:
        made.sendall(garbage)
        assert_refused(Answer(made), 400)
        assert is_closed(made)


def test_two_lengths_of_one_body_are_refused(server: FastServer) -> None:
    """A proxy may believe the other one, and send somebody else's request as this one's body."""
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "transfer-encoding: chunked", length=10) + b"0\r\n\r\n")
        assert_refused(Answer(made), 400)


def test_requests_that_are_sent_at_once_are_answered_in_turn(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(b"".join(whole(driver) for driver in range(20)) + whole(50)[:40])
        left = b""
        for driver in range(20):
            answer = Answer(_Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
        made.sendall(whole(50)[40:])
        assert json.loads(Answer(_Ahead(left, made)).body)["results"][1]["values"] == [50]


WRONG = [
    b"garbage\r\n\r\n",
    head("POST", "/get-online-features", "transfer-encoding: chunked") + b"no length\r\n",
    head("CONNECT", "x:1", "connection: upgrade", "upgrade: x"),
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("ahead", [1, 3])
def test_what_is_wrong_is_no_answer_to_the_requests_ahead_of_it(server: FastServer, ahead: int, wrong: bytes) -> None:
    with connected(server) as made:
        made.sendall(b"".join(whole(driver) for driver in range(ahead)) + wrong)
        left = b""
        for driver in range(ahead):
            answer = Answer(_Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
        assert answer.headers["connection"] == "close"
        assert not left
        assert is_closed(made)


class _Ahead(socket.socket):
    """A connection of which something was read already."""

    def __init__(self, left: bytes, made: socket.socket) -> None:
        self._left, self._made = left, made

    def recv(self, size: int, flags: int = 0) -> bytes:
        left, self._left = self._left, b""
        return left or self._made.recv(size, flags)

    def close(self) -> None: ...


def test_who_has_said_all_he_wants_to_is_answered(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(whole(1))
        made.shutdown(socket.SHUT_WR)
        answer = Answer(made)
        assert answer.status == 200
        assert is_closed(made)


def test_a_request_to_speak_another_protocol_is_answered_in_this_one(server: FastServer) -> None:
    """As Java's client does with its first request."""
    upgrade = (
        "connection: Upgrade, HTTP2-Settings",
        "upgrade: h2c",
        "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
    )
    with connected(server) as made:
        for driver in (1, 2):
            made.sendall(whole(driver, headers=upgrade))
            assert json.loads(Answer(made).body)["results"][1]["values"] == [driver]


def test_any_number_of_wishes_for_another_protocol_breaks_nothing(server: FastServer) -> None:
    upgrade = ("connection: Upgrade", "upgrade: h2c")
    with connected(server) as made:
        made.sendall(b"".join(whole(driver, headers=upgrade) for driver in range(10)))
        left = b""
        for driver in range(10):
            answer = Answer(_Ahead(left, made))
            assert json.loads(answer.body)["results"][1]["values"] == [driver]
            left = answer.rest
    with connected(server) as made:
        made.sendall(head("GET", "/health", *upgrade) * 30)
        seen = b""
        while piece := made.recv(1 << 16):
            seen += piece
        assert 0 < seen.count(b" 200 ") < 30
        assert seen.count(b"connection: close") == 1
    with connected(server) as made, suppress(ConnectionError):  # what was not read when it was closed resets it
        made.sendall((head("GET", "/health", *upgrade) * 2_000)[: 64 << 10])
        while made.recv(1 << 16):
            pass
    assert server.ask(1).status_code == 200


def test_a_connection_ends_as_its_client_wishes_also_beside_another_wish(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(whole(1, headers=("connection: close, Upgrade", "upgrade: h2c")))
        assert Answer(made).status == 200
        assert is_closed(made)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(patience, "UNREAD_SECONDS", 1.0)


SLOW = {
    "nothing": b"",
    "blank lines": b"\r\n",
    "half a head": head()[:-2],
    "half a body": whole(1)[:-1],
    "half a chunk": head("POST", "/get-online-features", "transfer-encoding: chunked") + b"ff\r\n{",
    "a second request": whole(1) + head()[:-2],
    "blank lines after a request": whole(1) + b"\r\n",
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", SLOW.values(), ids=SLOW.keys())
def test_a_request_that_does_not_come_whole_ends_its_connection(server: FastServer, begun: bytes) -> None:
    with connected(server) as made:
        made.sendall(begun)
        if begun.startswith(whole(1)):
            assert Answer(made).status == 200
        if begun == whole(1) + b"\r\n":
            made.sendall(b"\r\n")
        assert_refused(Answer(made), 408)
        assert is_closed(made)


@pytest.mark.usefixtures("impatient")
def test_a_byte_now_and_then_is_not_enough(server: FastServer) -> None:
    with connected(server) as made:
        begun = time.monotonic()
        made.settimeout(0.2)
        for byte in head("GET", "/health", "x-more: " + "x" * 400):
            try:
                made.sendall(bytes((byte,)))
                assert_refused(Answer(made), 408)
                break
            except TimeoutError:
                assert time.monotonic() - begun < 60
        else:
            pytest.fail("the request came to its end")


@pytest.mark.usefixtures("impatient")
def test_the_rest_of_a_refused_body_is_not_waited_for(server: FastServer) -> None:
    with connected(server) as made:
        made.sendall(head(length=HUNDRED_MB))
        assert_refused(Answer(made), 413)
        assert is_closed(made)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_nobody_reads_ends_its_connection(server: FastServer) -> None:
    body = json.dumps(asking(*range(1_000), features=["wide"])).encode()
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect(("127.0.0.1", server.port))
        made.sendall((head(length=len(body)) + body) * 6)
        state = server.server.server_state
        until(lambda: state.unread)
        until(lambda: server.ask(1).status_code == 200 and not state.unread)


def test_answers_that_nobody_reads_are_bounded_together(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_UNREAD", -1)
    assert_refused(server.ask(1), 503)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_is_used_is_kept_and_an_idle_one_for_a_while(server: FastServer) -> None:
    with connected(server) as made:
        for _ in range(4):
            made.sendall(whole(1))
            assert Answer(made).status == 200
            time.sleep(0.8)


def test_slow_clients_keep_nobody_waiting(server: FastServer) -> None:
    with ExitStack() as stack:
        for number in range(300):
            stack.enter_context(connected(server)).sendall(whole(1)[: number % 150])
        seconds = []
        for _ in range(50):
            begun = time.monotonic()
            assert server.ask(1).status_code == 200
            seconds.append(time.monotonic() - begun)
        assert sorted(seconds)[45] < 1.0


def test_a_thousand_connections_are_answered_at_once(server: FastServer) -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(connected(server)) for _ in range(1_000)]
        for number, each in enumerate(made):
            each.sendall(whole(number % 100))
        for number, each in enumerate(made):
            assert json.loads(Answer(each).body)["results"][1]["values"] == [number % 100]


def test_more_connections_than_there_is_room_for_are_told_so(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask(1)
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", len(server.server.server_state.connections))
    with connected(server) as made:
        answer = Answer(made)
        assert_refused(answer, 503)
        assert answer.headers["retry-after"] == "1"
    assert server.ask(1).status_code == 200


# --- much at once


def test_small_requests_come_in_between_the_pieces_of_large_ones(server: FastServer) -> None:
    stop, begun = threading.Event(), threading.Event()
    statuses: list[int] = []
    body = asking(*range(3_000), features=["wide"])

    def ask_for_much() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
            while not stop.is_set():
                statuses.append(client.post("/get-online-features", json=body).status_code)
                begun.set()

    threads = [threading.Thread(target=ask_for_much) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait(PATIENCE)
    try:
        found = [server.ask(number % 100) for number in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in found} == {200}
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_what_is_read_at_once_is_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    line = server.store._line  # noqa: SLF001 - its limit is for a machine, not for a test
    monkeypatch.setattr(line, "_most", 100_000)
    answer = server.ask(*range(2_000))
    assert "too many rows" in assert_refused(answer, 503)["message"]
    assert answer.headers["retry-after"] == "1"
    assert values_of(server.ask(1))[1] == [1.0]


@pytest.mark.parametrize(
    "piece", [b"x-much: " + b"a" * 50_000 + b"\r\n", b"a" * 65_536], ids=["many headers", "one long header"]
)
def test_the_head_of_a_request_is_bounded(server: FastServer, piece: bytes) -> None:
    with connected(server) as made:
        made.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-first: ")
        sent = 0
        with suppress(OSError):
            while sent < 20 << 20:
                sent += made.send(piece)
        assert sent < 20 << 20
    with connected(server) as made:
        made.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-first: ")
        for _ in range(3):
            time.sleep(0.1)
            made.sendall(b"a" * 40_000)
        answer = Answer(made)
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert b"larger than 65536 bytes" in answer.body
    assert server.client.get("/health").status_code == 200


def test_what_follows_a_body_is_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_AROUND_A_BODY", 1 << 20)
    with connected(server) as made, suppress(OSError):
        made.sendall(
            head("POST", "/get-online-features", "transfer-encoding: chunked") + b"2\r\n{}\r\n0\r\nx-trailer: "
        )
        sent = 0
        while sent < 20 << 20:
            sent += made.send(b"a" * 65_536)
    assert sent < 20 << 20


def test_a_body_in_small_chunks_is_taken(server: FastServer) -> None:
    body = json.dumps(asking(*range(100))).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with connected(server) as made:
        made.sendall(head("POST", "/get-online-features", "transfer-encoding: chunked"))
        for start in range(0, len(chunks), 100):
            made.sendall(chunks[start : start + 100])
        made.sendall(b"0\r\n\r\n")
        assert Answer(made).status == 200


def test_requests_ahead_of_their_answers_are_bounded(server: FastServer, monkeypatch: pytest.MonkeyPatch) -> None:
    request, count = whole(1), 20_000
    most = 0
    real = connection.Connection.on_headers_complete

    def noting(self: connection.Connection) -> None:
        nonlocal most
        real(self)
        most = max(most, len(self.pipeline))

    monkeypatch.setattr(connection.Connection, "on_headers_complete", noting)
    with connected(server) as made:
        sender = threading.Thread(target=made.sendall, args=(request * count,))
        sender.start()
        answered, rest = 0, b""
        while answered < count:
            rest += made.recv(1 << 20)
            answered += (found := rest.count(b"HTTP/1.1 200"))
            rest = rest[-11:] if found else rest
        sender.join()
    assert 100 < most <= connection.MOST_AHEAD

    monkeypatch.setattr(connection, "MOST_AHEAD", 50)
    with connected(server) as made, suppress(OSError):
        made.sendall(request * 2_000)
        while made.recv(1 << 20):
            pass
    assert server.client.get("/health").status_code == 200


def test_requests_ahead_of_their_answers_are_bounded_for_all_together(
    server: FastServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_AHEAD_OF_ALL", 0)
    state = server.server.server_state
    with connected(server) as one, connected(server) as other:
        one.sendall(whole(1) * 10)  # few are always taken
        left, answered = b"", 0
        while answered < 10:
            answer = Answer(_Ahead(left, one))
            left, answered = answer.rest, answered + 1
        other.sendall(whole(1) * 100)
        assert is_closed(other)
        one.sendall(whole(1) * 3 + WRONG[1])
        assert is_closed(one)
    assert server.ask(1).status_code == 200
    assert state.ahead == 0
