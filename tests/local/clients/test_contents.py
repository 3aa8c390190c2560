"""What is in a body, and what routes and methods there are: clean errors, whatever comes."""

import gzip
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fast_server import VIEW, FastServer, asking
from local.clients.raw_http import (
    assert_refused,
)

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
