"""What is known of writing while the registry is followed: which rows expire is noted before the first one does."""

import logging
from collections.abc import Iterator

import pytest
from world import World

from factories import a_feature_view, a_source
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.writing import FollowedWriting


@pytest.fixture
def followed(world: World) -> Iterator[Followed]:
    made = Followed(world.stores.postgres, "feast", FollowedWriting("feast"))
    yield made
    made.close()


def test_what_expires_is_noted_later_where_the_registry_would_not_take_it(
    world: World, followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    world.apply(a_feature_view("hourly", ttl="1h", source=a_source(file={"path": "hourly.parquet"})))
    run(world, "ALTER TABLE featureplane.expiring_entities RENAME TO hidden")
    with caplog.at_level(logging.WARNING):
        assert [followed.refresh() for _ in range(3)] == [True, False, False]
    assert [record.message[:41] for record in caplog.records] == ["rows that are pushed do not expire for no"]
    assert not followed.catalogue.writing.expiries
    run(world, "ALTER TABLE featureplane.hidden RENAME TO expiring_entities")
    assert followed.refresh()
    (expiry,) = followed.catalogue.writing.expiries.values()
    assert expiry.longest_ttl_ms == 3_600_000
    assert world.query("SELECT count(*) FROM featureplane.expiring_entities") == [(1,)]
    assert not followed.refresh()


def run(world: World, statement: str) -> None:
    with world.sql() as connection:
        connection.execute(statement)
