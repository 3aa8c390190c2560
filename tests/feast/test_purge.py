"""What deleted views and features leave in Redis, and how it goes: every byte of theirs, and none of others'."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from factories import Object, a_feature, a_feature_view, a_project, an_entity
from featureplane.errors import StoreUnavailable
from featureplane.materialization import purge as module
from featureplane.materialization.purge import Purged, purge
from featureplane.online import layout
from featureplane.settings import RedisAddress, Stores

VIEW = "commodity_prices"


def key(*values: int | str, project: str = "feast", names: Sequence[str] = ("commodity",)) -> bytes:
    """A row's key as Feast itself makes it."""
    from feast.infra.online_stores.helpers import _redis_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    kinds = [Value(int64_val=value) if isinstance(value, int) else Value(string_val=value) for value in values]
    return _redis_key(project, EntityKey(join_keys=names, entity_values=kinds))


def field(view: str, feature: str) -> bytes:
    from feast.infra.online_stores.helpers import _mmh3

    return _mmh3(f"{view}:{feature}")


def row(view: str, *features: str) -> dict[bytes, bytes]:
    """The fields of one view in a hash."""
    return {f"_ts:{view}".encode(): b"time"} | {field(view, name): b"value" for name in features}


names = st.text(min_size=1, max_size=60)


class TestLayout:
    @given(project=names, keys=st.lists(names, min_size=1, max_size=3, unique=True), number=st.integers(0, 2**40))
    def test_keys_are_feasts(self, project: str, keys: list[str], number: int) -> None:
        values = [number if index % 2 else str(number) for index in range(len(keys))]
        kinds = ["Int64" if isinstance(value, int) else "String" for value in values]
        made = key(*values, project=project, names=keys)
        shape = tuple(sorted(zip(keys, kinds, strict=True)))
        assert made.startswith(layout.prefix(shape))
        assert layout.is_key(made, shape, project)
        assert not layout.is_key(made, shape, f"x{project}")
        assert not layout.is_key(made, tuple((name, "Bytes") for name, _ in shape), project)

    @given(view=names, feature=names)
    def test_fields_are_feasts(self, view: str, feature: str) -> None:
        assert layout.field(view, feature) == field(view, feature)

    @pytest.mark.parametrize("length", [*b"*?[]\\^-", 1, 300])
    def test_a_pattern_means_its_bytes(self, world: World, length: int) -> None:
        """A join key as long as an asterisk is, or with one in its name, is no wildcard."""
        name = "a*[b]?\\"[:length].ljust(length, "k")
        mine, other = key("x", names=[name]), key("x", names=[name.replace("*", "-")] if "*" in name else ["y"])
        world.redis.hset(mine, "f", "v")
        world.redis.hset(other, "f", "v")
        assert list(world.redis.scan_iter(layout.pattern(((name, "String"),), "feast"))) == [mine]


def declared(*features: str, entity: Object | None = None, name: str = "commodity-prices") -> list[Object]:
    view = a_feature_view(name, entities=[entity or an_entity()], features=[a_feature(each) for each in features])
    return [a_project(), view]


@pytest.fixture
def world(world: World) -> World:
    world.apply(*declared("a", "b"))
    return world


def make_due(world: World) -> None:
    with world.sql() as connection:
        connection.execute("UPDATE featureplane.purges SET due_at = now() - interval '1 second'")


def pending(world: World) -> int:
    query = "SELECT count(*) FROM featureplane.purges WHERE done_at IS NULL AND cancelled_at IS NULL"
    ((number,),) = world.query(query)
    return int(number)


def run(world: World, redis: RedisAddress | None = None) -> list[Purged]:
    return purge(Stores(world.stores.postgres, redis or world.stores.redis), "feast", pause=lambda _: None)


def test_a_deleted_view_goes_wherever_it_is(world: World, online: tuple[RedisAddress, Any]) -> None:
    address, redis = online
    for number in range(50):
        redis.hset(key(f"c{number}"), mapping=row(VIEW, "a", "b"))
    redis.hset(key("shared"), mapping={**row(VIEW, "a", "b"), **row("other", "a")})
    world.apply(a_project(), prune=True)
    make_due(world)
    assert run(world, address) == [Purged(VIEW, ("a", "b", "*"), (), rows=51, fields=153)]
    assert redis.hgetall(key("shared")) == row("other", "a")
    assert list(redis.scan_iter()) == [key("shared")]
    assert pending(world) == 0
    redis.delete(key("shared"))


def test_a_removed_feature_goes_alone(world: World) -> None:
    world.redis.hset(key("gold"), mapping=row(VIEW, "a", "b"))
    world.apply(*declared("a"))
    make_due(world)
    assert run(world) == [Purged(VIEW, ("b",), (), rows=1, fields=1)]
    assert world.redis.hgetall(key("gold")) == row(VIEW, "a")


def test_other_projects_and_other_keys_stay(world: World) -> None:
    """`xfeast` ends as `feast` does, and a view that came back with whole numbers as keys has the same join key."""
    others = [key("gold", project="xfeast"), key(7), key("gold", names=["commodities"]), b"feast", b"\1\0\0\0feast"]
    for other in (*others, key("gold")):
        world.redis.hset(other, mapping=row(VIEW, "a", "b"))
    world.apply(a_project(), prune=True)
    world.apply(*declared("a", "b", entity=an_entity(type="Int64")))
    make_due(world)
    (purged,) = run(world)
    assert (purged.rows, purged.kept) == (1, ())
    assert set(world.redis.scan_iter()) == set(others)


def test_what_is_not_due_yet_stays(world: World) -> None:
    world.redis.hset(key("gold"), mapping=row(VIEW, "a", "b"))
    world.apply(a_project(), prune=True)
    assert run(world) == []
    assert world.redis.hgetall(key("gold")) == row(VIEW, "a", "b")
    assert pending(world) == 3


def test_a_view_that_feast_alone_brought_back_keeps_its_bytes(world: World) -> None:
    world.redis.hset(key("gold"), mapping=row(VIEW, "a", "b"))
    world.apply(a_project(), prune=True)
    assert world.feast("apply", folder=world.repo(*declared("a"))).returncode == 0
    make_due(world)
    assert run(world) == [Purged(VIEW, ("b",), ("a", "*"), rows=1, fields=1)]
    assert world.redis.hgetall(key("gold")) == row(VIEW, "a")
    assert pending(world) == 0


def test_a_view_that_comes_back_in_the_middle_keeps_what_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 10)
    for number in range(500):
        world.redis.hset(key(f"c{number}"), mapping=row(VIEW, "a", "b"))
    world.apply(a_project(), prune=True)
    make_due(world)
    passes = 0

    def pause(_: float) -> None:
        nonlocal passes
        passes += 1
        if passes == 3:
            world.apply(*declared("a", "b"))

    (purged,) = purge(world.stores, "feast", pause)
    assert purged.kept == ("a", "b", "*")
    assert 0 < purged.rows < 250
    assert world.redis.dbsize() == 500 - purged.rows
    assert pending(world) == 0


def test_a_field_that_another_feature_shares_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes of a hash are not much."""
    monkeypatch.setattr(module, "field", lambda _view, feature: b"same" if feature in {"b", "c"} else feature.encode())
    world.apply(*declared("c", name="other"))
    world.redis.hset(key("gold"), mapping={b"same": b"value", b"a": b"value"})
    world.apply(*declared("c", name="other"), prune=True)
    make_due(world)
    run(world)
    assert world.redis.hgetall(key("gold")) == {b"same": b"value"}


def test_a_redis_that_does_not_answer_leaves_the_purge_due(world: World) -> None:
    world.apply(a_project(), prune=True)
    make_due(world)
    with pytest.raises(StoreUnavailable, match=r"Redis at redis://127\.0\.0\.1:1/0 does not answer"):
        run(world, RedisAddress("127.0.0.1", 1))
    assert pending(world) == 3


def test_nothing_is_due_where_there_is_no_registry(bare_world: World) -> None:
    assert run(bare_world) == []
    bare_world.registered()
    assert run(bare_world) == []
