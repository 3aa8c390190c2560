"""What is deprecated: found in Feast's messages, told to who asks for it, counted, and logged now and then."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

from factories import a_feature, a_feature_view, a_service, defined
from featureplane.deprecation import Deprecation, tags_of
from featureplane.registry.protos import FeatureService, FeatureView
from featureplane.serving import metrics, telling
from featureplane.serving.catalogue.served import Catalogue, Described, Projection, ServedView, described_of, view_of
from featureplane.serving.counting import ONLINE_FEATURES
from featureplane.serving.grpc_api.app import TRAILERS, GrpcApp
from featureplane.serving.grpc_api.server import GrpcListener
from featureplane.serving.meter import Meter
from featureplane.serving.reading.answer import Columns, Entities
from featureplane.serving.reading.deprecated import Deprecated, asked_for, headers_of
from featureplane.serving.reading.plan import Plan, plan_features, plan_service
from featureplane.serving.reading.reader import Answer
from featureplane.serving.reading.request import Request
from unit.serving.test_meter import UP

GONE = Deprecation("2026-03-31", "why not", "new:count")
OLDER = Deprecation("2025-01-01")
KEYS = (("driver_id", "Int64"),)
CATALOGUE = Catalogue(
    "feast",
    {
        "plain": ServedView("plain", KEYS, ("count",)),
        "part": ServedView("part", KEYS, ("a", "b"), described=Described(deprecated=(("b", GONE),))),
        "whole": ServedView("whole", KEYS, ("x",), described=Described(deprecated=(("", OLDER),))),
    },
    {
        "old": (Projection("plain", ("count",), "plain"),),
        "using": (Projection("part", ("a", "b"), "renamed"),),
        "mixed": (Projection("part", ("b",), "part"), Projection("on_demand", ("x",), "on_demand")),
    },
    {"driver": "driver_id"},
    described_services={"old": Described(deprecated=(("", GONE),))},
)


def said(plan: Plan) -> list[str]:
    return [str(each).split(";")[0] for each in plan.deprecated]


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (["plain"], []),
        (["part:a"], []),
        (["part:b"], ["part:b is deprecated as of 2026-03-31"]),
        (["part"], ["part:b is deprecated as of 2026-03-31"]),
        (["plain:count", "whole:x"], ["whole is deprecated as of 2025-01-01"]),
    ],
)
def test_who_asks_for_it_is_told_and_nobody_else(features: list[str], told: list[str]) -> None:
    plan = plan_features(CATALOGUE, features, full_names=False)
    assert said(plan) == told
    assert bool(plan.headers) is bool(plan.head) is bool(told)


def test_a_service_is_told_of_itself_and_of_what_it_uses() -> None:
    assert said(plan_service(CATALOGUE, "old", full_names=False)) == ["old is deprecated as of 2026-03-31"]
    assert said(plan_service(CATALOGUE, "using", full_names=False)) == ["part:b is deprecated as of 2026-03-31"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (Request({}, features=("whole", "part:b", "on_demand:x", "part:b", "no such")), ["whole", "part:b"]),
        (Request({}, features=("part@v1", "whole@v2:x", "plain:count")), ["part:b", "whole"]),
        (Request({}, features=("part:a",)), []),
        (Request({}, "old"), ["old"]),
        (Request({}, "mixed"), ["part:b"]),
        (Request({}, "known by name only"), []),
    ],
)
def test_what_feast_answers_for_is_looked_for_by_name(request_: Request, told: list[str]) -> None:
    found = asked_for(CATALOGUE, request_)
    assert [str(each).partition(" is ")[0] for each in found] == told


def test_the_earliest_day_and_the_first_names_are_in_the_headers() -> None:
    many = [Deprecated(f"view{number}", "", "", GONE) for number in range(30)]
    headers = dict(headers_of([*many, Deprecated("v", "", "", OLDER)]))
    assert headers[b"deprecation"] == b"@1735689600"
    assert headers[b"featureplane-deprecated"].endswith(b" | and 21 more")


@pytest.mark.parametrize("text", ["a\r\nset-cookie: x", "\0", "é" * 5000, "%0d"])
def test_no_text_makes_a_header_of_its_own_or_a_long_one(text: str) -> None:
    (_, found), *_ = reversed(headers_of([Deprecated("v", "", "", Deprecation(text, text, text))]))
    assert found.isascii()
    assert not set(found) & set(b"\r\n\0")
    assert len(found) < 2000


@pytest.mark.parametrize("day", ["", "soon", "2026-02-31", "9" * 400])
def test_a_day_that_is_none_is_left_out(day: str) -> None:
    assert [name for name, _ in headers_of([Deprecated("v", "", "", Deprecation(day))])] == [b"featureplane-deprecated"]


def test_tags_of_feasts_messages_say_it() -> None:
    view = FeatureView()
    view.spec.name, view.spec.owner = "v", "team"
    view.spec.tags.update({**tags_of(OLDER), "domain": "rides"})
    view.spec.entity_columns.add(name="driver_id", value_type=4)
    view.spec.features.add(name="a")
    view.spec.features.add(name="b").tags.update(tags_of(GONE))
    found = view_of(view)
    assert found is not None
    assert found.described == Described("team", (("domain", "rides"),), (("", OLDER), ("b", GONE)))
    service = FeatureService()
    service.spec.tags.update(tags_of(GONE))
    assert described_of(service.spec).deprecated == (("", GONE),)


def test_what_is_declared_is_what_is_read() -> None:
    view = a_feature_view(features=[a_feature(deprecated={"since": "2026-03-31", "message": "why not"})])
    (found,) = [item for item in defined(view, a_service()) if item.kind == "feature_view"]
    assert found.spec["features"][0]["tags"] == tags_of(Deprecation("2026-03-31", "why not"))


def test_requests_for_it_are_counted_and_logged_once_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 10.0
    monkeypatch.setattr(telling, "monotonic", lambda: now)
    meter = Meter(lambda: UP)
    plan = plan_features(CATALOGUE, ["part:b", "whole"], full_names=False)
    labels = {"feature_view": "part", "feature": "b", "feature_service": ""}
    name = "featureplane_server_deprecated_requests_total"
    before = metrics.OURS.get_sample_value(name, labels) or 0.0

    def ask(times: int) -> list[str]:
        caplog.clear()
        columns = [
            Columns(plan.reads[read].parts[index], [[b""]], [(2,)], [None], complete=True) for read, index in plan.order
        ]
        for _ in range(times):
            meter.answered(ONLINE_FEATURES, Answer(plan, Entities({"driver_id": [1]}, 1), columns, 0.001), 0.001)
        meter.flush()
        return [record.getMessage() for record in caplog.records]

    with caplog.at_level(logging.WARNING):
        assert [text.rsplit(": ", 2)[-1] for text in ask(3)] == ["why not", "whole is deprecated as of 2025-01-01"]
        assert ask(2) == []
        now += telling.BETWEEN_SECONDS
        assert ask(1)[0].startswith("3 requests since")
    assert metrics.OURS.get_sample_value(name, labels) == before + 6


def test_a_call_ends_with_what_its_answer_says() -> None:
    async def telling_call(body: bytes, scope: Any) -> bytes:
        scope[TRAILERS] = headers_of([Deprecated("v", "", "", GONE)]) if body else ()
        return body

    async def run() -> None:
        listener = GrpcListener(GrpcApp({"/s/said": telling_call}, {}), "127.0.0.1", 0)
        port = await listener.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/s/said")(b"x", timeout=10)
            assert await call == b"x"
            assert dict(await call.trailing_metadata())["deprecation"] == "@1774915200"
            quiet = channel.unary_unary("/s/said")(b"", timeout=10)
            await quiet
            assert "deprecation" not in dict(await quiet.trailing_metadata())
        await listener.stop()

    asyncio.run(run())
