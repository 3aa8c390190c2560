"""What a request is planned to, before anything is read: refusals, and what is kept of plans and answers."""

import asyncio
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from featureplane.registry.protos import ServingService, Value
from featureplane.serving.catalogue.served import Catalogue, ServedView
from featureplane.serving.grpc_api.calls import from_message
from featureplane.serving.reading.answer import entities_of
from featureplane.serving.reading.plan import plan_features
from featureplane.serving.reading.reader import OnlineReader
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.request import Request
from featureplane.serving.reading.values import decode, numbers_of

WIDE = tuple(f"f{number}" for number in range(400))
CATALOGUE = Catalogue(
    "feast",
    {
        "trips": ServedView("trips", (("driver_id", "Int64"),), ("count", *WIDE)),
        "names": ServedView("names", (("driver_id", "String"),), ("name",)),
    },
    entities={"driver": "driver_id"},
)


class Empty:
    """A Redis without a key."""

    async def read(self, _: Any, commands: Any) -> list[Any]:
        return [[None] * 401 for _ in commands]


def test_one_join_key_of_two_types_is_refused_with_both() -> None:
    with pytest.raises(Refused, match="driver_id is String in names and Int64 in another view") as refused:
        plan_features(CATALOGUE, ("trips:count", "names:name"), full_names=False)
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("reference", "status", "said"),
    [
        ("trips@v1:count", 422, "write trips:count for the newest"),
        ("trips@V12", 422, "write trips for the newest"),
        ("unheard@v1:count", 422, "write unheard:count"),
        ("trips@first:count", 404, "view trips@first does not exist"),
    ],
)
def test_a_version_is_refused_where_none_are_kept(reference: str, status: int, said: str) -> None:
    others = replace(CATALOGUE, left_to_feast=frozenset({("view", "doubled")}))
    with pytest.raises(Refused, match=said) as refused:
        plan_features(others, ("trips:count", reference, "doubled:count"), full_names=False)
    assert refused.value.status == status


def test_a_view_that_is_named_again_and_again_is_refused_before_its_features_fill_the_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="50000 at the most") as refused:
            plan_features(CATALOGUE, ("trips",) * 10_000, full_names=False)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


def test_too_many_rows_are_refused_by_their_number_over_http_and_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_at(*_: Any) -> None:
        pytest.fail("a value was looked at")

    monkeypatch.setattr("featureplane.serving.reading.answer.converted", looked_at)
    monkeypatch.setattr("featureplane.serving.grpc_api.calls._plain", looked_at)
    message = ServingService.GetOnlineFeaturesRequest()
    message.features.val.append("trips:count")
    message.entities["driver_id"].val.extend([Value()] * 10_001)
    reader = OnlineReader(lambda: CATALOGUE, Empty())  # type: ignore[arg-type]  # nothing else is asked of it
    for request in (Request({"driver_id": ["x"] * 10_001}, features=("trips:count",)), from_message(message)):
        with pytest.raises(Refused, match="10001 entity rows are too many") as refused:
            reader.plan(request)
        assert refused.value.status == 413


@pytest.mark.parametrize("value", [Value(bytes_val=b"x"), Value(int64_list_val={"val": [1]}), Value(null_val=0)])
def test_what_is_no_text_is_no_key_of_text_over_grpc(value: Any) -> None:
    message = ServingService.GetOnlineFeaturesRequest()
    message.features.val.append("names:name")
    message.entities["driver_id"].val.append(value)
    reader = OnlineReader(lambda: CATALOGUE, Empty())  # type: ignore[arg-type]  # nothing else is asked of it
    with pytest.raises(Refused, match="is no String; write a text"):
        reader.plan(from_message(message))


OTHERS = "set full_feature_names, or leave out all but one of"


@pytest.mark.parametrize(
    ("references", "said"),
    [
        (["trips:count", "rides:count"], f"count found; {OTHERS} trips:count, rides:count"),
        (["trips:count", "trips:count"], "count found; name trips:count once"),
        (["trips:count", "rides"], f"count found; {OTHERS} trips:count, rides:count"),
        (
            ["rides", "trips:count", "rides:f0", "trips:f0"],
            f"count, f0 found; name rides:f0 once; {OTHERS} rides:count, trips:count, and of rides:f0, trips:f0",
        ),
    ],
    ids=["two views", "twice", "a whole view", "all"],
)
def test_columns_of_one_name_are_refused_with_all_that_mends_it(references: list[str], said: str) -> None:
    rides = ServedView("rides", (("driver_id", "Int64"),), ("count", "f0"))
    catalogue = replace(CATALOGUE, views={**CATALOGUE.views, "rides": rides})
    with pytest.raises(Refused) as refused:
        plan_features(catalogue, references, full_names=False)
    assert str(refused.value) == f"Duplicate features named {said}"


def test_with_full_names_a_feature_is_to_be_named_once() -> None:
    with pytest.raises(Refused) as refused:
        plan_features(CATALOGUE, ["trips:count"] * 2, full_names=True)
    assert str(refused.value) == "Duplicate features named trips__count found; name trips:count once"


def test_a_feature_that_is_named_very_often_is_found_and_said_once() -> None:
    with pytest.raises(Refused, match=r"name trips:count once$"):
        plan_features(CATALOGUE, ["trips:count"] * 50_000, full_names=False)


@pytest.mark.parametrize("reference", ["trips@v1:count", "trips@first:count"])
def test_a_version_is_for_feast_where_they_are_kept(reference: str) -> None:
    with pytest.raises(ForFeast):
        plan_features(replace(CATALOGUE, is_versioned=True), (reference,), full_names=False)


def test_an_entity_and_its_join_key_are_two_names_for_one_thing() -> None:
    plan = plan_features(CATALOGUE, ("trips:count",), full_names=False)
    assert entities_of(plan, {"driver": [1]}).columns == {"driver_id": [1]}
    with pytest.raises(Refused, match="entities: driver_id is another name for the join key driver_id"):
        entities_of(plan, {"driver": [1], "driver_id": [2]})


def test_what_is_kept_is_small_whatever_clients_ask_for() -> None:
    reader = OnlineReader(lambda: CATALOGUE, Empty())  # type: ignore[arg-type]  # nothing else is asked of it

    async def ask() -> None:
        for left_out in WIDE[:20]:
            features = tuple(f"trips:{name}" for name in WIDE if name != left_out)
            await reader.read(Request({"driver_id": [1, 2]}, features=features))

    asyncio.run(ask())
    assert not reader._plans  # noqa: SLF001 - its size is the point


def test_what_is_kept_of_decoding_is_small_whatever_number_of_rows_clients_ask_for() -> None:
    value = b"\x29" + bytes(8)
    tracemalloc.start()
    try:
        for rows in range(2_000, 2_020):
            assert len(numbers_of([[value] * rows] * 50) or ()) == 50 * rows
            assert len(decode([value] * rows)) == rows
        assert tracemalloc.get_traced_memory()[0] < 10 << 20
    finally:
        tracemalloc.stop()
