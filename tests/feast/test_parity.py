"""What is served against its source, with each kind of difference made by hand."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from world import PROJECT, World

from factories import Object, a_feature, a_feature_view, a_postgres_source, a_project, a_source, an_entity
from featureplane.errors import OnlineStoreUnavailable
from featureplane.materialization.history import SUCCEEDED
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.online.layout import field, time_field
from featureplane.parity import outcomes
from featureplane.parity.check import Options, check
from featureplane.parity.kinds import Kind
from featureplane.parity.outcomes import Outcome
from featureplane.registry.database import begin

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
AT = NOW - HOUR
VIEW = "commodity_prices"
FEATURES = [a_feature(), a_feature("volume", "Int64")]


class Shop:
    """A view of ten commodities, its rows and what is compared of them."""

    def __init__(self, world: World, lake: Path) -> None:
        self.world = world
        self.lake = lake
        self.objects: list[Object] = []
        self.rows = [
            {"commodity": f"c{number}", "event_timestamp": AT, "price": number + 0.5, "volume": number}
            for number in range(10)
        ]

    def open(self, project: Object | None = None, **changes: Any) -> "Shop":
        """Register the view and copy its rows."""
        root = {"type": "file", "dataRoot": {"uri": str(self.lake)}}
        view = a_feature_view(**{"features": FEATURES, **changes})
        self.objects = [a_project(**{"offlineStore": root, **(project or {})}), view]
        self.world.apply(*self.objects)
        self.write()
        self.copy()
        return self

    def write(self) -> None:
        pd.DataFrame(self.rows).to_parquet(self.lake / "new.parquet")
        (self.lake / "new.parquet").replace(self.lake / "prices.parquet")

    def copy(self, start: datetime = BEGINNING, end: datetime = NOW) -> None:
        with materializer(self.project, self.world.stores, self.lake) as engine:
            (run,) = engine.run([Task(VIEW, start, end, "hourly")])
        assert run.result == SUCCEEDED, run.message

    @property
    def project(self) -> Any:
        return self.world.declarations(*self.objects).project

    def key(self, number: int) -> bytes:
        (key,) = [key for key in self.world.redis.scan_iter() if key.endswith(f"c{number}{PROJECT}".encode())]
        return bytes(key)

    def look(self, **options: Any) -> Outcome:
        known = self.world.registered()
        views = [item for (kind, _), item in known.definitions.items() if kind == "feature_view"]
        asked = Options(**{"sample": 100, "seed": 7, "differences": 20, **options})
        places = Places(self.lake, self.world.stores.postgres)
        (outcome,) = check(self.project, self.world.stores, places, known, views, asked)
        return outcome

    def counts(self, **options: Any) -> dict[str, int]:
        outcome = self.look(**options)
        assert not outcome.failed, outcome.message
        return {kind.value: count for kind, count in outcome.counts.items() if count}


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Shop:
    return Shop(world, tmp_path)


def test_what_was_copied_is_equal(shop: Shop) -> None:
    outcome = shop.open().look()
    assert (outcome.rate, outcome.value_rate, outcome.compared, outcome.values_compared) == (1.0, 1.0, 10, 20)
    assert outcome.copied_until == NOW
    assert list(outcome.differences) == []


def test_a_changed_byte_is_found(shop: Shop) -> None:
    key = shop.open().key(3)
    shop.world.redis.hset(key, field(VIEW, "price"), b"\x29" + struct.pack("<d", 7.0))
    outcome = shop.look()
    assert (outcome.counts[Kind.DIFFERENT], outcome.equal, outcome.values_equal) == (1, 9, 19)
    (found,) = outcome.differences
    assert (found.entity, found.kind, found.feature) == ({"commodity": "c3"}, Kind.DIFFERENT, "price")
    assert (found.online, found.offline, found.online_time, found.offline_time) == (7.0, 3.5, AT, AT)


def test_what_a_library_says_of_a_row_is_told_to_who_asks_for_values_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no number: 'Jane Doe'")

    shop.open()
    monkeypatch.setattr("featureplane.parity.check.sampled", broken)
    outcome = shop.look(differences=1)
    assert (outcome.failed, outcome.cause) == (True, "no number: 'Jane Doe'")
    assert outcome.message.startswith("ValueError when it was compared")
    assert shop.look(differences=0).cause == ""
    with begin(shop.world.engine, shop.world.stores.postgres) as connection:
        outcomes.record(connection, PROJECT, outcome)
        _, noted = outcomes.newest(connection, PROJECT)
    assert "Jane Doe" not in str(noted)


def test_the_worst_differences_come_first(shop: Shop) -> None:
    shop.open()
    for number, price in ((1, 1.6), (2, -900.0), (3, 5.0)):
        shop.world.redis.hset(shop.key(number), field(VIEW, "price"), b"\x29" + struct.pack("<d", price))
    shop.world.redis.delete(shop.key(4))
    found = [(each.entity["commodity"], each.feature) for each in shop.look(differences=3).differences]
    assert found == [("c4", "*"), ("c2", "price"), ("c3", "price")]


def test_a_deleted_key_is_missing(shop: Shop) -> None:
    shop.world.redis.delete(shop.open().key(3))
    assert shop.counts() == {"equal": 9, "missing": 1}


@pytest.mark.parametrize("stored", [b"\xff\xff", b"\x0a"])
def test_what_cannot_be_read_is_different_and_all_else_is_compared(shop: Shop, stored: bytes) -> None:
    key = shop.open(ttl="1d").key(3)
    shop.world.redis.hset(key, time_field(VIEW), stored)
    shop.world.redis.hset(shop.key(4), field(VIEW, "volume"), stored)
    assert shop.counts() == {"equal": 8, "different": 2}
    shop.world.redis.delete(key)
    shop.world.redis.set(key, b"no hash")
    assert shop.counts() == {"equal": 8, "different": 2}


def test_a_row_that_changed_in_the_source_is_found(shop: Shop) -> None:
    shop.open()
    shop.rows[3]["price"] = 100.0
    shop.write()
    assert shop.counts() == {"equal": 9, "different": 1}


def test_rows_after_the_last_run_are_not_expected_yet(shop: Shop) -> None:
    shop.open()
    shop.rows.append({**shop.rows[3], "event_timestamp": NOW + timedelta(seconds=1), "price": 4.0})
    shop.rows.append({**shop.rows[3], "commodity": "new", "event_timestamp": NOW + timedelta(seconds=1)})
    shop.write()
    assert shop.counts() == {"equal": 10}


def test_a_source_of_one_row_an_entity_that_went_on_is_waited_for(shop: Shop) -> None:
    shop.open()
    shop.rows[3]["event_timestamp"] = NOW + timedelta(seconds=1)
    shop.write()
    assert shop.counts() == {"equal": 9, "pending": 1}


def test_a_late_row_is_stale_where_nobody_knows_when_it_came(shop: Shop) -> None:
    shop.open()
    shop.rows.append({**shop.rows[3], "event_timestamp": AT + HOUR / 2, "price": 4.0})
    shop.write()
    outcome = shop.look()
    assert outcome.counts[Kind.STALE] == 1
    (found,) = outcome.differences
    assert (found.online_time, found.offline_time) == (AT, AT + HOUR / 2)


def test_a_created_timestamp_says_what_the_next_run_will_copy(shop: Shop) -> None:
    came, later = NOW - HOUR, datetime.now(UTC) + HOUR
    for row in shop.rows:
        row["created"] = came
    shop.open(source=a_source(createdTimestampColumn="created"))
    shop.rows += [
        {**shop.rows[3], "event_timestamp": AT + HOUR / 2, "created": later},
        {**shop.rows[4], "event_timestamp": AT + HOUR / 2},
        {**shop.rows[5], "commodity": "too late", "event_timestamp": NOW - 9 * HOUR, "created": later},
        # The newest by event time counts, whenever the other came.
        {**shop.rows[6], "event_timestamp": AT - HOUR, "created": later, "price": 0.0},
    ]
    shop.write()
    assert shop.counts() == {"equal": 8, "pending": 1, "stale": 1, "late": 1}


def test_a_row_that_the_source_has_no_more_is_extra(shop: Shop) -> None:
    shop.open()
    del shop.rows[3]
    shop.write()
    outcome = shop.look()
    assert outcome.counts[Kind.EXTRA] == 1
    (found,) = outcome.differences
    assert (found.entity, found.online_time, found.offline_time) == ({"commodity": "c3"}, AT, None)


def test_a_push_is_ahead_and_no_mistake(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.open(push={"enabled": True})
    for name, value in shop.world.stores.environment().items():
        monkeypatch.setenv(name, value)
    pushed = [{**shop.rows[3], "event_timestamp": AT + HOUR / 2}, {**shop.rows[4], "commodity": "new"}]
    shop.world.sdk(online=True).write_to_online_store(VIEW, pd.DataFrame(pushed))
    outcome = shop.look()
    assert (outcome.counts[Kind.AHEAD], outcome.equal, outcome.rate) == (2, 9, 1.0)


def test_rows_past_the_ttl_are_not_asked_about(shop: Shop) -> None:
    shop.rows[3]["event_timestamp"] = NOW - 25 * HOUR
    # Too near to its end: it may be gone at the next moment.
    shop.rows[4]["event_timestamp"] = NOW - 24 * HOUR + timedelta(seconds=30)
    shop.open(ttl="1d")
    assert shop.counts() == {"equal": 8}


def test_an_old_row_online_is_nothing_where_the_source_has_a_new_one(shop: Shop) -> None:
    """Where fields do not expire by themselves an old one is still there."""
    key = shop.open(ttl="1d").key(3)
    shop.world.redis.hset(key, time_field(VIEW), b"\x08\x01")
    assert shop.counts() == {"equal": 9, "missing": 1}


def test_rows_that_no_run_copies_are_not_expected(shop: Shop) -> None:
    shop.rows[0]["commodity"] = None
    shop.rows.append({**shop.rows[3], "event_timestamp": AT + HOUR / 2, "price": -1.0})
    shop.open(features=[a_feature(checks={"minimum": 0}), a_feature("volume", "Int64")])
    outcome = shop.look()
    assert (outcome.equal, outcome.compared) == (8, 8)
    assert outcome.message == "1 of the sampled rows are refused by a check or a type, and not compared"


def test_nulls_are_equal_and_no_value_is(shop: Shop) -> None:
    for row, price in zip(shop.rows, [None, float("nan"), 1.0], strict=False):
        row["price"] = price
    shop.open()
    assert shop.counts() == {"equal": 10}
    shop.world.redis.hset(shop.key(2), field(VIEW, "price"), b"")
    assert shop.counts() == {"equal": 9, "different": 1}


@pytest.mark.parametrize("kind", ["Int64", "Int32", "Bytes", "UnixTimestamp"])
def test_entities_of_every_type_are_found_online(shop: Shop, kind: str) -> None:
    values = {"Bytes": lambda number: b"c\xff%d" % number, "UnixTimestamp": lambda number: AT + number * HOUR}
    for number, row in enumerate(shop.rows):
        row["commodity"] = values.get(kind, lambda number: number - 5)(number)
    shop.open(entities=[an_entity(type=kind)])
    assert shop.counts() == {"equal": 10}
    del shop.rows[3]
    shop.write()
    assert shop.counts() == {"equal": 9, "extra": 1}


def test_several_join_keys(shop: Shop) -> None:
    for number, row in enumerate(shop.rows):
        row["market"] = number % 3
    shop.open(entities=[an_entity(), an_entity("market", type="Int64")])
    assert shop.counts() == {"equal": 10}
    del shop.rows[3]
    shop.write()
    (found,) = shop.look().differences
    assert found.entity == {"commodity": "c3", "market": 0}


def test_a_seed_makes_the_same_sample_again(shop: Shop) -> None:
    shop.open()
    shop.world.redis.flushdb()
    samples = [[each.entity["commodity"] for each in shop.look(sample=4, seed=seed).differences] for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    assert {len(each) for each in samples} == {4}


def test_a_window_looks_at_entities_with_new_rows_alone(shop: Shop) -> None:
    shop.rows[3]["event_timestamp"] = NOW - 9 * HOUR
    shop.open()
    shop.world.redis.flushdb()
    assert shop.counts(window=2 * HOUR) == {"missing": 9}
    assert shop.counts() == {"missing": 10}


@pytest.fixture
def table(world: World) -> Iterator[None]:
    with world.sql() as connection:
        connection.execute("CREATE TABLE prices (commodity text, at timestamptz, made timestamptz, price numeric)")
        yield
        connection.execute("DROP TABLE prices")


def test_a_table_of_postgresql(shop: Shop, table: None) -> None:
    def write(*rows: Any) -> None:
        with shop.world.sql() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO prices VALUES (%s, %s, %s, %s)", rows)

    write(*((f"c{number}", AT, AT, number / 3) for number in range(10)))
    source = a_postgres_source(timestampField="at", createdTimestampColumn="made")
    shop.open({"offlineStore": {"type": "postgres"}}, features=[a_feature(type="Float32")], source=source)
    assert shop.counts() == {"equal": 10}
    later = datetime.now(UTC) + HOUR
    write(("c1", AT + HOUR / 2, later, 9), ("c2", AT + HOUR / 2, AT, 9), ("c3", AT, later, 9), ("x", AT, AT, None))
    shop.world.redis.delete(shop.key(4))
    assert shop.counts() == {"equal": 6, "pending": 1, "stale": 1, "different": 1, "missing": 2}


def test_of_a_table_the_values_of_chosen_entities_alone_are_read(shop: Shop, table: None) -> None:
    minute = timedelta(minutes=1)
    with shop.world.sql() as connection, connection.cursor() as cursor:
        rows = [(f"c{number}", AT - number * minute, AT, 1) for number in range(10)]
        cursor.executemany("INSERT INTO prices VALUES (%s, %s, %s, %s)", rows)
    source = a_postgres_source(timestampField="at", createdTimestampColumn="made")
    shop.open({"offlineStore": {"type": "postgres"}}, features=[a_feature()], source=source)
    with shop.world.sql() as connection:
        connection.execute("ALTER TABLE prices RENAME TO held")
        price = "1 / CASE commodity WHEN 'c0' THEN price ELSE 0 END AS price"
        connection.execute(f"CREATE VIEW prices AS SELECT commodity, at, made, {price} FROM held")
    try:
        assert shop.counts(sample=1, window=2 * HOUR) == {"equal": 1}
        assert "division by zero" in shop.look(sample=2, window=2 * HOUR).message
    finally:
        with shop.world.sql() as connection:
            connection.execute("DROP VIEW prices")
            connection.execute("ALTER TABLE held RENAME TO prices")


def test_a_view_that_was_not_copied_yet_is_told_from_one_that_cannot_be_read(shop: Shop) -> None:
    shop.open()
    (shop.lake / "prices.parquet").unlink()
    outcome = shop.look()
    assert outcome.failed
    assert "prices.parquet" in outcome.message
    shop.world.query("DELETE FROM featureplane.runs RETURNING 1")
    outcome = shop.look()
    assert (outcome.failed, outcome.rate, outcome.message) == (False, None, "no run has copied it yet")


def test_without_redis_no_view_is_compared(shop: Shop) -> None:
    """Each of many views would wait for it."""
    shop.open()
    stores = shop.world.stores
    shop.world.stores = replace(stores, redis=replace(stores.redis, port=1))
    for options in ({}, {"window": HOUR}):
        with pytest.raises(OnlineStoreUnavailable, match=r"Redis at redis://127.0.0.1:1/\d+ does not answer"):
            shop.look(**options)


def test_an_outcome_is_remembered_without_a_value(shop: Shop) -> None:
    def read(after: int = 0) -> tuple[int, dict[str, Outcome]]:
        with begin(shop.world.engine, shop.world.stores.postgres) as connection:
            return outcomes.newest(connection, PROJECT, after)

    def note(outcome: Outcome) -> None:
        with begin(shop.world.engine, shop.world.stores.postgres) as connection:
            outcomes.record(connection, PROJECT, outcome, "feast-parity-1")

    shop.world.redis.delete(shop.open().key(3))
    first = shop.look()
    note(first)
    number, found = read()
    assert found == {VIEW: Outcome(**{**vars(first), "differences": ()})}
    note(Outcome(VIEW, NOW + HOUR, {Kind.EQUAL: 3}))
    later, found = read(number)
    assert later > number
    assert found[VIEW].words() == "3 of 3 entities are equal (100 %)"
    assert "c3" not in repr(shop.world.rows()["featureplane.parity_checks"])
    # What is old goes with the next one.
    note(Outcome(VIEW, NOW - outcomes.KEPT - HOUR, failed=True, message="long ago"))
    note(Outcome(VIEW, NOW, {Kind.EQUAL: 4}))
    assert shop.world.query("SELECT count(*) FROM featureplane.parity_checks WHERE failed") == [(0,)]
