"""Rows that are taken out by hand, wherever Redis keeps them: those of one view, to the byte."""

from typing import Any

import pytest
from world import PROJECT, World

from factories import a_feature, a_feature_view
from featureplane.entities.deleting import Counted, Target, count_rows, delete_rows, targets
from featureplane.errors import StoreUnavailable
from featureplane.materialization.purge import listed
from featureplane.online.layout import field, fields_of
from featureplane.registry.audit import Wanted, read
from featureplane.registry.database import begin
from featureplane.registry.plan import FieldChange
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.settings import RedisAddress, Stores

VIEW, OTHER = "commodity_prices", "commodity_news"
FEATURES = {VIEW: ["price", "volume"], OTHER: ["mood"]}
MANY = 1_000


@pytest.fixture
def world(world: World) -> World:
    views = [
        a_feature_view(name.replace("_", "-"), features=[a_feature(each) for each in features])
        for name, features in FEATURES.items()
    ]
    world.apply(*views)
    return world


def keys(*names: str) -> list[bytes]:
    return KeyMaker([("commodity", "String")], PROJECT).keys([names])


def target(world: World, *views: str) -> list[Target]:
    known = world.registered()
    with begin(world.engine, world.stores.postgres) as connection:
        leaving = listed(connection, PROJECT, only_due=False)
    return targets(known, [known.definitions["feature_view", name] for name in views], leaving)


def test_rows_go_wherever_they_are(world: World, online: tuple[RedisAddress, Any]) -> None:
    address, client = online
    client.flushdb()
    mine, others = fields_of(VIEW, FEATURES[VIEW]), fields_of(OTHER, FEATURES[OTHER])
    names = [f"c{number}" for number in range(MANY)]
    for place, key in enumerate(keys(*names)):
        client.hset(
            key, mapping={**dict.fromkeys(mine, b"mine"), **(dict.fromkeys(others, b"other") if place % 2 else {})}
        )
    stores = Stores(world.stores.postgres, address)
    (found,) = target(world, VIEW)
    assert count_rows(address, found, keys(*names, "none")) == Counted(MANY, 3 * MANY)
    assert delete_rows(stores, PROJECT, found, keys(*names, "none")) == Counted(MANY, 3 * MANY)
    for place, key in enumerate(keys(*names)):
        assert client.hgetall(key) == (dict.fromkeys(others, b"other") if place % 2 else {})
    assert count_rows(address, found, keys(*names)) == Counted()


def test_a_field_that_another_view_uses_as_well_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field is four bytes of a hash, so two features may share one; a hash that knows only two shows it."""
    shared = field(OTHER, "mood")
    monkeypatch.setattr(
        "featureplane.online.layout.field", lambda view, name: shared if name == "price" else field(view, name)
    )
    (alone,) = target(world, VIEW)
    assert shared not in alone.fields
    assert field(VIEW, "volume") in alone.fields
    both = target(world, VIEW, OTHER)
    assert all(shared in each.fields for each in both)


def test_what_went_before_a_failure_is_noted(world: World) -> None:
    """Of a hash that somebody made a text of nothing can be removed."""
    key, wrong = keys("c1", "c2")
    world.redis.hset(key, mapping=dict.fromkeys(fields_of(VIEW, FEATURES[VIEW]), b"v"))
    world.redis.set(wrong, b"no hash")
    (found,) = target(world, VIEW)
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        delete_rows(world.stores, PROJECT, found, [wrong, key])
    assert not world.redis.exists(key)
    with begin(world.engine, world.stores.postgres) as connection:
        newest = read(connection, Wanted(PROJECT, ["feature_view"], VIEW, most=1))[0]
    assert (newest.action, newest.fields) == ("delete-rows", (FieldChange("online rows", 1, 0),))
