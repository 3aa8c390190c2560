"""What a request that writes asks for, and who answers it."""

import asyncio
import tracemalloc
from contextlib import AsyncExitStack

import orjson
import pytest

from featureplane.model.types import parse_type
from featureplane.serving.catalogue.served import Catalogue, ServedView
from featureplane.serving.catalogue.writable import WritableView, Writing
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.writing.misfits import shown
from featureplane.serving.writing.outcome import NotTaken
from featureplane.serving.writing.request import NoRows, WriteRequest, from_features, push_from_json, with_to
from featureplane.serving.writing.writer import OnlineWriter

VIEW = ServedView("stats", (("driver_id", "Int64"),), ("trips",))
WRITABLE = WritableView((parse_type("Int64"),), "event_timestamp")


def a_target(request, *, restricted=False, views=None, left=(), **writing):
    catalogue = Catalogue(
        "feast",
        {"stats": VIEW},
        left_to_feast=frozenset(("view", name) for name in left),
        restricted=restricted,
        writing=Writing({"stats": WRITABLE} if views is None else views, **writing),
    )
    return OnlineWriter(lambda: catalogue, None).target(request)


def a_write(**changes):
    return WriteRequest(**{"columns": {}, "rows": 1, "view": "stats", **changes})


def a_push():
    return a_write(view="", push_source="source")


def test_a_view_of_ours_is_written_here():
    target = a_target(a_write())
    assert ([view.name for view in target.views], target.is_feasts) == (["stats"], False)


def test_where_permissions_say_who_may_write_feast_asks_them():
    assert a_target(a_write(), restricted=True).is_feasts


def test_a_source_that_a_view_of_another_sort_shares_is_feast_s():
    assert not a_target(a_push(), push_sources={"source": ("stats",)}).is_feasts
    assert a_target(a_push(), push_sources={"source": ("stats", "labels")}, left=["labels"]).is_feasts


def test_a_service_that_is_computed_ahead_has_pushes_to_its_views_written_by_feast():
    sources = {"push_sources": {"source": ("stats",)}, "left_to_feast": frozenset({"stats"})}
    assert a_target(a_push(), **sources).is_feasts
    assert not a_target(a_write(), **sources).is_feasts


def test_a_view_that_only_feast_can_write_is_left_to_it():
    with pytest.raises(ForFeast):
        a_target(a_write(), views={})
    with pytest.raises(ForFeast):
        a_target(a_write(view="labels"), left=["labels"])


def test_a_check_that_cannot_be_asked_is_said_without_its_rows():
    with pytest.raises(Refused, match="check that cannot be asked") as found:
        a_target(a_write(), checks={"stats": {"trips": {"pattern": "("}}})
    assert found.value.status == 500


def test_what_is_no_list_is_the_value_of_every_row():
    request = push_from_json(b'{"push_source_name": "p", "df": {"a": [1, 2], "b": "x"}}')
    columns = {name: list(values) for name, values in request.columns.items()}
    assert (columns, request.rows, request.to) == ({"a": [1, 2], "b": ["x", "x"]}, 2, "online")


@pytest.mark.parametrize("df", [{}, {"df": {}}, {"df": {"a": 1}}, {"df": [1]}], ids=str)
def test_a_push_without_rows_says_what_it_is_for_first(df):
    with pytest.raises(Refused, match="push_source_name: write a name"):
        push_from_json(orjson.dumps(df))
    with pytest.raises(NoRows) as found:
        push_from_json(orjson.dumps({"push_source_name": "source", **df}))
    assert str(found.value) == "df: write an object of lists, with a value for each row"
    assert found.value.request.push_source == "source"


def test_who_sends_no_rows_is_shown_the_columns_of_what_they_are_for():
    writing = Writing({"stats": WRITABLE}, push_sources={"source": ("stats",), "others": ("labels",)})
    writer = OnlineWriter(lambda: Catalogue("feast", {"stats": VIEW}, writing=writing), None)
    columns = writer.columns(a_push())
    assert str(NoRows(a_push(), columns)).endswith(
        'like {"driver_id": [...], "trips": [...], "event_timestamp": [...]}'
    )
    assert writer.columns(a_write(view="", push_source="others")) == []
    assert str(NoRows(a_push(), ["f"] * 25)).endswith('"f": [...]} and 5 more')


def test_a_push_for_another_store_is_the_same_push():
    assert with_to(b'{"df":{"a":[1]},"to":"online_and_offline"}', "offline") == b'{"df":{"a":[1]},"to":"offline"}'


def test_texts_of_grpc_are_json_but_where_a_text_is_wanted():
    features = {"a": "5", "b": "5", "c": "2026-01-31", "d": "[1, 2]", "e": "null"}
    assert from_features(features, frozenset("b")) == {
        "a": [5], "b": ["5"], "c": ["2026-01-31"], "d": [[1, 2]], "e": [None],
    }  # fmt: skip


def test_a_value_that_is_nested_deep_can_be_spoken_of():
    nested = orjson.loads(b"[" * 1_000 + b"]" * 1_000)
    assert shown(nested) == "a value nested too deep to be shown"
    assert shown([1, "x"]) == '[1, "x"]'


def test_a_value_for_every_row_takes_no_memory_for_each():
    columns = {f"c{number}": number for number in range(1000)}
    body = orjson.dumps({"push_source_name": "source", "df": {"driver_id": list(range(10_000)), **columns}})
    tracemalloc.start()
    request = push_from_json(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    assert request.columns["c7"][9_998:20_000] == [7, 7]
    assert (len(request.columns["c7"]), request.columns["c7"][9_999]) == (10_000, 7)


@pytest.mark.parametrize(
    ("df", "message"),
    [
        ({"driver_id": [1] * 10_001}, "10001 rows are too many for one request; send 10000 at a time"),
        ({"driver_id": [1] * 10_000, "city": "a" * 1700}, "df: values that stand for all of 10000 rows are too large"),
    ],
)
def test_a_request_has_a_size(df, message):
    with pytest.raises(Refused, match=message) as raised:
        push_from_json(orjson.dumps({"push_source_name": "source", "df": df}))
    assert raised.value.status == 413


def a_writer_of_cities():
    view = ServedView("stats", (("driver_id", "Int64"),), ("city",))
    writable = WritableView((parse_type("String"),), "event_timestamp")
    catalogue = Catalogue("feast", {"stats": view}, writing=Writing({"stats": writable}))
    return OnlineWriter(lambda: catalogue, None)


def cities(rows, length):
    columns = {
        "driver_id": range(rows),
        "city": ["a" * length] * rows,
        "event_timestamp": ["2026-01-01T00:00:00Z"] * rows,
    }
    return WriteRequest(columns, rows, view="stats")


def test_rows_that_are_too_large_in_redis_are_refused_and_given_up():
    async def run():
        writer = a_writer_of_cities()
        request = cities(1300, 10_000)
        target = writer.target(request)
        with pytest.raises(
            Refused, match="the rows take more than 12 MiB in Redis; send fewer rows at a time"
        ) as raised:
            async with writer.checked(request, target):
                pass
        # What was given up leaves room for the next.
        for _ in range(20):
            async with writer.checked(cities(1000, 10_000), target) as checked:
                assert sum(len(rows.keys) for _, rows in checked) == 1000
        return raised.value.status

    assert asyncio.run(run()) == 413


def test_requests_that_hold_too_much_at_once_have_the_next_one_wait():
    async def run():
        writer = a_writer_of_cities()
        request = cities(1000, 10_000)
        target = writer.target(request)
        async with AsyncExitStack() as stack:
            for _ in range(6):
                await stack.enter_async_context(writer.checked(request, target))
            with pytest.raises(NotTaken, match="too many rows are being written at the moment"):
                async with writer.checked(request, target):
                    pass
        async with writer.checked(request, target) as checked:
            return sum(len(rows.keys) for _, rows in checked)

    assert asyncio.run(run()) == 1000


def test_who_pushes_to_a_view_without_a_source_is_told_how_it_gets_one():
    how = r"Unable to find push source 'stats_push'\. Set push\.enabled in the FeatureView of stats\."
    with pytest.raises(Refused, match=how):
        a_target(a_write(view="", push_source="stats_push"))
