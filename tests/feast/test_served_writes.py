"""Rows that are pushed to the server: checked, written so that the newest event wins, and read back by Feast's SDK."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from world import World

from data.writing.redis_processes import fields_expire
from factories import Object, a_feature, a_feature_view, a_project, a_source, an_entity
from featureplane.registry.protos import GrpcServer
from featureplane.serving.app import serving
from featureplane.serving.listening import Where
from patience import PATIENCE, SLACK, until

NOW = datetime.now(UTC).replace(microsecond=0)
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")


def objects(root: Any, **changes: Any) -> list[Object]:
    return [
        a_project(
            offlineStore={"type": "file", "dataRoot": {"uri": str(root)}},
            server={"writes": {"enabled": True}, **changes.pop("server", {})},
            **changes,
        ),
        a_feature_view(
            "driver-stats",
            entities=[DRIVER],
            features=[
                a_feature("trips", "Int64", checks={"minimum": 0, "notNull": True}),
                a_feature("rate", "Float32", checks={"maximum": 1}),
                a_feature("city", "String", checks={"pattern": "^[a-z]+$"}),
                a_feature("seen", "UnixTimestamp"),
                a_feature("tags", "Array(String)"),
                a_feature("photo", "Bytes"),
            ],
            source=a_source(timestampField="happened_at", fieldMapping={"conv": "rate"}),
            push={"enabled": True},
        ),
        a_feature_view(
            "of-an-hour",
            entities=[an_entity("session", type="String")],
            features=[a_feature("clicks", "Int32")],
            source=a_source(file={"path": "clicks.parquet"}),
            ttl="1h",
            push={"enabled": True},
        ),
    ]


class Served:
    def __init__(self, world: World, url: str, grpc: str) -> None:
        self.world = world
        self.grpc = grpc
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)

    def write(self, df: dict[str, Any], view: str = "driver_stats") -> httpx.Response:
        return self.http.post("/write-to-online-store", json={"feature_view_name": view, "df": df})

    def push(self, df: dict[str, Any], source: str = "driver_stats_push", **more: Any) -> httpx.Response:
        return self.http.post("/push", json={"push_source_name": source, "df": df, **more})

    def read(self, driver: Any, *features: str) -> list[Any]:
        asked = {"features": [f"driver_stats:{each}" for each in features], "entities": {"driver_id": [driver]}}
        answer = self.http.post("/get-online-features", json=asked).json()
        return [column["values"][0] for column in answer["results"][1:]]

    def metric(self, name: str) -> float:
        """Of driver_stats."""
        wanted = f'{name}{{feature_view="driver_stats"'
        lines = self.http.get("/metrics").text.splitlines()
        (value,) = [float(line.split()[-1]) for line in lines if line.startswith(wanted)]
        return value


@contextmanager
def served_by(world: World, *declared: Object) -> Iterator[Served]:
    project = world.declarations(*declared).project
    with serving(project, world.stores, world.folder, Where(grpc_port=0)) as server:
        server.wait_until_ready()
        yield Served(world, server.url, server.grpc)


@pytest.fixture(scope="module")
def served(make_world: Callable[[], World]) -> Iterator[Served]:
    world = make_world()
    declared = objects(world.folder)
    world.apply(*declared)
    with served_by(world, *declared) as made:
        yield made
    world.close()


def a_row(driver: Any = 1, **changes: Any) -> dict[str, list[Any]]:
    row = {
        "driver_id": driver, "trips": 5, "rate": 0.5, "city": "rome", "seen": "2026-01-31T12:00:00Z",
        "tags": ["a", "b"], "photo": "AAE=", "happened_at": NOW.isoformat(), **changes,
    }  # fmt: skip
    return {name: [value] for name, value in row.items() if value is not ...}


def counts(answer: httpx.Response) -> tuple[int, ...]:
    return tuple(int(answer.headers[f"x-featureplane-rows-{each}"]) for each in ("written", "older", "expired"))


def test_a_row_is_read_back_by_feast_and_by_us(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = served.write(a_row(100))
    assert (answer.status_code, answer.content, counts(answer)) == (200, b"null", (1, 0, 0))
    names = ["trips", "rate", "city", "seen", "tags", "photo"]
    seen = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert served.read(100, *names) == [5, 0.5, "rome", int(seen.timestamp()), ["a", "b"], "AAE="]
    for name, value in served.world.stores.environment().items():
        monkeypatch.setenv(name, value)
    found = served.world.sdk(online=True).get_online_features(
        [f"driver_stats:{name}" for name in names], [{"driver_id": 100}]
    )
    assert found.to_dict() == {
        "driver_id": [100], "trips": [5], "rate": [0.5], "city": ["rome"], "seen": [seen], "tags": [["a", "b"]],
        "photo": [b"\x00\x01"],
    }  # fmt: skip


def test_bytes_in_redis_are_those_of_feast_s_push(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    for name, value in served.world.stores.environment().items():
        monkeypatch.setenv(name, value)
    frame = {**a_row(101, seen=1_769_860_800), "photo": [b"\x00\x01"], "happened_at": [NOW]}
    served.world.sdk(online=True).push("driver_stats_push", pd.DataFrame(frame))
    (key,) = [each for each in served.world.redis.scan_iter() if b"e" in each and (101).to_bytes(8, "little") in each]
    feasts = served.world.redis.hgetall(key)
    served.world.redis.delete(key)
    answer = served.push(a_row(101))
    assert (answer.status_code, answer.content) == (200, b"")
    assert served.world.redis.hgetall(key) == feasts


def test_columns_may_have_the_source_s_names_and_more_than_is_asked_for(served: Served) -> None:
    row = a_row(102, rate=..., conv=0.25, happened_at=..., event_timestamp=NOW.timestamp(), created=None, other={})
    row["city"] = "oslo"  # one value for all rows
    assert served.write({**row, "other": [{}]}).status_code == 200
    assert served.read(102, "rate", "city") == [0.25, "oslo"]


def test_the_newest_event_wins_and_an_equal_one_is_written_again(served: Served) -> None:
    later = (NOW + timedelta(microseconds=1)).isoformat()
    assert counts(served.write(a_row(103, trips=1))) == (1, 0, 0)
    assert counts(served.write(a_row(103, trips=2))) == (1, 0, 0)
    assert counts(served.write(a_row(103, trips=3, happened_at=later))) == (1, 0, 0)
    assert counts(served.write(a_row(103, trips=4))) == (0, 1, 0)
    assert served.read(103, "trips") == [3]


def test_times_in_one_microsecond_are_one_time(served: Served) -> None:
    second = NOW.replace(microsecond=0, tzinfo=None).isoformat()
    assert counts(served.write(a_row(171, trips=1, happened_at=f"{second}.000001999Z"))) == (1, 0, 0)
    assert counts(served.write(a_row(171, trips=2, happened_at=f"{second}.000001000Z"))) == (1, 0, 0)
    assert counts(served.write(a_row(171, trips=3, happened_at=f"{second}.000000999Z"))) == (0, 1, 0)
    assert served.read(171, "trips") == [2]


def test_of_two_rows_of_one_entity_the_newest_stays_and_of_equal_ones_the_last(served: Served) -> None:
    rows = [a_row(104, trips=trips, happened_at=(NOW + timedelta(seconds=shift)).isoformat())
            for trips, shift in ((1, 0), (2, 5), (3, 5), (4, 2))]  # fmt: skip
    assert counts(served.write({name: [row[name][0] for row in rows] for name in rows[0]})) == (1, 3, 0)
    assert served.read(104, "trips") == [3]


def test_writers_at_the_same_time_leave_the_newest(served: Served) -> None:
    def send(shift: int) -> None:
        rows = [a_row(driver, trips=shift, happened_at=(NOW + timedelta(seconds=shift)).isoformat())
                for driver in range(200, 220)]  # fmt: skip
        answer = served.push({name: [row[name][0] for row in rows] for name in rows[0]})
        assert sum(counts(answer)) == 20

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [*range(40), *reversed(range(40))]))
    assert [served.read(driver, "trips") for driver in range(200, 220)] == [[39]] * 20


def test_a_null_takes_a_value_away_and_a_row_of_nothing_else_is_not_written(served: Served) -> None:
    served.write(a_row(105))
    assert served.write(a_row(105, city=None)).status_code == 200
    assert served.read(105, "city", "trips") == [None, 5]
    nothing = {"session": ["a"], "clicks": [None], "event_timestamp": [NOW.isoformat()]}
    assert counts(served.write(nothing, "of_an_hour")) == (0, 0, 0)
    assert counts(served.write({name: [] for name in nothing}, "of_an_hour")) == (0, 0, 0)


def test_a_row_expires_with_its_ttl_and_one_that_has_is_not_written(served: Served) -> None:
    times = [(NOW - timedelta(minutes=minutes)).isoformat() for minutes in (30, 61)]
    answer = served.write({"session": ["new", "old"], "clicks": [1, 2], "event_timestamp": times}, "of_an_hour")
    assert counts(answer) == (1, 0, 1)
    (key,) = served.world.redis.scan_iter(b"*new*")
    if not fields_expire(served.world.redis):
        assert 0 < served.world.redis.ttl(key) <= 30 * 60
    assert served.world.query("SELECT join_keys FROM featureplane.expiring_entities") == [('[["session", "String"]]',)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trips": "5"}, 'df.trips[0]: "5" is no whole number from'),
        ({"trips": None}, "df.trips[0]: has no value; write one"),
        ({"trips": -1}, "df.trips[0]: -1 is below the minimum 0"),
        ({"trips": ...}, "df.trips: is missing; write null where a row has no value"),
        ({"rate": 1.5}, "df.rate[0]: 1.5 is above the maximum 1"),
        ({"city": "Rome"}, 'df.city[0]: "Rome" does not match ^[a-z]+$'),
        ({"tags": "a"}, 'df.tags[0]: "a" is no list'),
        ({"photo": "?"}, 'df.photo[0]: "?" is not base64'),
        ({"driver_id": None}, "df.driver_id[0]: has no value; write one"),
        ({"driver_id": "x"}, 'df.driver_id[0]: "x" is no whole number'),
        ({"driver_id": ...}, "df.driver_id: is missing; write the join key of each row"),
        ({"happened_at": ...}, "df.happened_at: is missing; write the event time of each row"),
        ({"happened_at": None}, "df.happened_at[0]: null is no time"),
        ({"happened_at": 1769860800123}, "df.happened_at[0]: 1769860800123 is no time of the years"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_refused_with_its_place(served: Served, changes: dict[str, Any], said: str) -> None:
    answer = served.push(a_row(106, **changes))
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_nothing_is_written_of_a_request_with_one_bad_row(served: Served) -> None:
    rows = [a_row(300 + place, trips=5 if place != 270 else -1) for place in range(300)]
    answer = served.write({name: [row[name][0] for row in rows] for name in rows[0]})
    assert "df.trips[270]: -1 is below the minimum 0" in answer.json()["message"]
    assert served.read(300, "trips") == [None]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/push", {"push_source_name": "nobody", "df": {"a": [1]}}, 422, "Unable to find push source 'nobody'."),
        ("/push", {"push_source_name": "driver_stats_push"}, 422, r'like {\"driver_id\": [...], '),
        ("/push", {}, 422, "push_source_name: write a name"),
        ("/write-to-online-store", {"feature_view_name": "driver_stats"}, 422, r'happened_at\": [...]'),
        ("/push", {"push_source_name": "nobody"}, 422, "Unable to find push source 'nobody'."),
        ("/push", {"df": {"a": [1]}}, 422, "push_source_name: write a name"),
        ("/push", {"push_source_name": "driver_stats_push", "df": {"a": [1]}, "to": "moon"}, 422, "to: write one of"),
        ("/push", {"push_source_name": "driver_stats_push", "df": {"a": [1], "b": []}}, 422, "a has 1, b has 0"),
        ("/push", {"push_source_name": "driver_stats_push", "df": {"a": 1}}, 422, "df: write an object of lists"),
        ("/push", {"push_source_name": "driver_stats_push", "df": {"a": {"0": 1}, "b": [1]}}, 422, "df.a: write"),
        ("/push", [], 422, "the body is no JSON object"),
        ("/write-to-online-store", {"feature_view_name": "nothing", "df": {"a": [1]}}, 404, "nothing does not exist"),
        ("/write-to-online-store", {"feature_view_name": "driver_stats", "df": {"a": [1] * 10_001}}, 413, "too many"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_refused(served: Served, path: str, body: Any, status: int, said: str) -> None:
    answer = served.http.post(path, json=body)
    assert answer.status_code == status
    assert said in answer.text


def test_a_push_over_grpc_is_the_same(served: Served) -> None:
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub

    row = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, (value,) in a_row(114).items()
    }
    with grpc.insecure_channel(served.grpc) as channel:
        stub = GrpcFeatureServerStub(channel)
        push = GrpcServer.PushRequest(features=row, stream_feature_view="driver_stats_push", to="online")
        assert stub.Push(push).status
        push.features["trips"] = "-1"
        with pytest.raises(grpc.RpcError, match=r"features\.trips: -1 is below the minimum 0"):
            stub.Push(push)
    assert served.read(114, "trips", "tags", "photo") == [5, ["a", "b"], "AAE="]


def pushes(served: Served) -> float:
    wanted = 'feast_push_request_total{mode="online",push_source="driver_stats_push"}'
    lines = served.http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def test_pushes_that_are_taken_are_counted(served: Served) -> None:
    before = pushes(served)
    assert served.push(a_row(114, trips=-1)).status_code == 422
    assert served.push(a_row(114)).is_success
    until(lambda: pushes(served) != before)
    assert pushes(served) == before + 1


def test_the_newest_row_that_was_sent_says_how_fresh_the_view_is(served: Served) -> None:
    newest = datetime.now(UTC)
    rows = [a_row(115, happened_at=(newest - timedelta(minutes=age)).isoformat()) for age in (3, 0, 7)]
    assert served.write({name: [row[name][0] for row in rows] for name in rows[0]}).is_success
    assert served.metric("featureplane_server_written_event_timestamp_seconds") == newest.timestamp()
    assert served.write(a_row(115, happened_at=(newest + timedelta(hours=1)).isoformat())).is_success
    came = served.metric("featureplane_server_written_event_timestamp_seconds")
    assert newest.timestamp() < came <= datetime.now(UTC).timestamp()
    assert served.metric("feast_feature_freshness_seconds") > 0


def test_checks_that_change_are_asked_within_seconds(served: Served) -> None:
    changed = objects(served.world.folder)
    changed[1]["spec"]["features"][0]["checks"] = {"minimum": 3}
    assert served.write(a_row(107, trips=2)).is_success
    served.world.apply(*changed)
    until(lambda: "below the minimum 3" in served.write(a_row(107, trips=2)).text)
    served.world.apply(*objects(served.world.folder))
    until(lambda: served.write(a_row(107, trips=2)).is_success)


def test_what_goes_offline_as_well_is_written_online_first(served: Served) -> None:
    """There is no file to append to, as Feast says; the row is online by then, and one that does not fit never is."""
    answer = served.push(a_row(108), to="online_and_offline")
    assert answer.status_code == 500
    assert counts(answer) == (1, 0, 0)
    assert served.read(108, "trips") == [5]
    assert served.push(a_row(109, trips=-1), to="online_and_offline").status_code == 422
    assert served.push(a_row(109), to="offline").status_code == 500
    assert served.read(109, "trips") == [None]


def test_rows_reach_an_offline_store_that_is_there(served: Served) -> None:
    file = served.world.folder / "clicks.parquet"
    pq.write_table(pa.table({"session": ["a"], "clicks": pa.array([0], pa.int32()), "event_timestamp": [NOW]}), file)
    row = {"session": ["s"], "clicks": [1], "event_timestamp": [NOW.isoformat()]}
    for to, written, rows in (("online_and_offline", "1", 2), ("offline", None, 3)):
        answer = served.push(row, "of_an_hour_push", to=to)
        assert answer.status_code == 200, answer.text
        assert answer.headers.get("x-featureplane-rows-written") == written
        assert pq.read_table(file).num_rows == rows


def test_a_redis_that_lost_the_script_gets_it_again(served: Served) -> None:
    served.world.redis.script_flush()
    assert counts(served.write(a_row(110))) == (1, 0, 0)


def test_a_full_redis_is_said_and_a_second_attempt_does_no_harm(served: Served) -> None:
    redis = served.world.redis
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", 1)
    try:
        answer = served.write(a_row(111))
    finally:
        redis.config_set("maxmemory", before)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "it is full; some of the request's rows may be written; send it again" in answer.json()["message"]
    assert counts(served.write(a_row(111))) == (1, 0, 0)


def test_a_redis_that_does_not_answer_is_an_error_in_under_a_second(served: Served) -> None:
    redis = served.world.redis
    redis.execute_command("CLIENT", "PAUSE", 8_000, "ALL")
    start = time.monotonic()
    answer = served.write(a_row(112))
    assert answer.status_code == 503
    assert time.monotonic() - start < 1 + SLACK
    redis.ping()  # when the pause is over
    until(lambda: counts(served.write(a_row(112))) == (1, 0, 0), passing=KeyError)


def test_without_writes_the_routes_are_closed(served: Served) -> None:
    project = served.world.declarations(a_project()).project
    with serving(project, served.world.stores, served.world.folder) as server:
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/push", json={}, timeout=PATIENCE)
        assert answer.status_code == 403
        assert "set server.writes.enabled in the FeastProject" in answer.json()["message"]


def test_feast_s_sdk_writes_through_the_server(served: Served) -> None:
    """Its remote online store calls the event time by a name of its own."""
    import pandas as pd

    from feast import FeatureStore

    config = served.world.sdk().config
    online = {"type": "remote", "path": str(served.http.base_url).rstrip("/")}
    store = FeatureStore(config=config.model_copy(update={"online_config": online}))
    frame = {**a_row(113), "seen": [NOW], "photo": [b"\x00"], "happened_at": [NOW]}
    del frame["photo"]  # Feast's SDK cannot send bytes
    frame["photo"] = [None]
    store.write_to_online_store("driver_stats", pd.DataFrame(frame))
    assert served.read(113, "trips", "city", "tags") == [5, "rome", ["a", "b"]]
