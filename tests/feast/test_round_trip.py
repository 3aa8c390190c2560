"""What is declared, written by Feast and read back without Feast is the same, letter by letter; and Feast's own
`plan` and `apply` agree with ours in both directions.
"""

from collections.abc import Callable
from typing import Any

import pytest
from world import World

from factories import (
    Object,
    a_feature,
    a_feature_view,
    a_postgres_source,
    a_project,
    a_service,
    a_source,
    a_spark_project,
    a_spark_source,
    an_entity,
)
from featureplane.model.types import ENTITY_TYPES, SCALARS, parse_type

NESTED = (
    "Array(Array(Int64))",
    "Array(Set(String))",
    "Set(Array(Float32))",
    "Set(Set(Int32))",
    "Array(Array(Array(Bool)))",
    "Struct({a: Int64})",
    "Struct({b: String, a: Array(Float64), c: UnixTimestamp})",
    "Struct({inner: Struct({x: Int32, y: Set(String)})})",
    "Array(Struct({a: Int64, b: Array(String)}))",
    "Array(Array(Struct({a: PdfBytes})))",
    "Struct({z: Array(Struct({a: ScalarMap}))})",
)


def is_type(text: str) -> bool:
    try:
        return bool(parse_type(text))
    except ValueError:
        return False


ALL_TYPES = (
    *SCALARS,
    *(f"{outer}({name})" for outer in ("Array", "Set") for name in SCALARS if is_type(f"{outer}({name})")),
    *NESTED,
)
NASTY = (
    'it\'s "so"\\n\n\r\n\t${HOME} $HOME ${PGPASSWORD:-x} {{ 7 * 7 }} {% raw %} %(x)s'
    " \0\x01\x7f é 漢字 \U0001f600 \u202e ;--"
)
# Feast would open the table of a Spark source, and load pyspark for it.
UNSEEN = "--skip-source-validation"
LONG = (NASTY + "x" * 5000)[:5000]
TEXT = {"description": LONG, "owner": NASTY, "tags": {"plain": "", NASTY[:100]: NASTY, "$x": LONG[:1024]}}

TAGS = {"plain": ""}
GOING = {"since": "2026-03-31", "message": NASTY, "replacedBy": "mapped:price"}


def everything() -> list[Object]:
    """One object of each sort there is, with text that somebody could take for code."""
    return [
        a_project(**TEXT),
        a_feature_view("all-types", features=[a_feature(f"f{index}", kind) for index, kind in enumerate(ALL_TYPES)]),
        *(a_feature_view(f"key-{kind.lower()}", entities=[an_entity(f"e_{kind}", type=kind)]) for kind in ENTITY_TYPES),
        a_feature_view(
            "several-entities",
            entities=[an_entity("zebra", type="Int64"), an_entity("ant", joinKey="ant_id"), an_entity(**TEXT)],
            features=[
                a_feature("b", "Int64"),
                a_feature("a", "String", **{k: TEXT[k] for k in ("description", "tags")}),
            ],
        ),
        a_feature_view(
            "mapped",
            **TEXT,
            ttl="2d",
            features=[a_feature("price"), a_feature("volume", "Int64")],
            source=a_source(
                **TEXT, name="Mapped-Source", fieldMapping={"px": "price"}, createdTimestampColumn="created"
            ),
        ),
        a_feature_view("pushed", push={"enabled": True}),
        a_feature_view("pushed-elsewhere", push={"enabled": True, "name": "my_push"}, online=False),
        a_feature_view("driver-stats", feast_name="Driver-Stats"),
        a_feature_view("delta", source={"file": {"path": "a/b c/*.x", "format": "delta"}, "timestampField": "ts"}),
        a_feature_view("shares-1", source=a_source(name="shared")),
        a_feature_view("shares-2", source=a_source(name="shared")),
        a_feature_view(
            "checked", features=[a_feature(checks={"notNull": True, "minimum": 0})], deletionPolicy="Retain"
        ),
        a_feature_view("unscheduled", materialization={"schedule": "never"}, suspend=True),
        a_feature_view(
            "going", deprecated=GOING, features=[a_feature(deprecated=GOING), a_feature("volume", tags=TAGS)]
        ),
        a_service("going-too", views=[{"name": "going"}], deprecated={"since": "2026-03-31", "replacedBy": "some"}),
        a_service("all-features", views=[{"name": "mapped"}, {"name": "pushed"}], **TEXT),
        a_service("some-features", views=[{"name": "mapped", "features": ["volume"]}, {"name": "delta"}]),
        a_service("turned-round", views=[{"name": "several_entities", "features": ["a", "b"]}]),
    ]


def tables() -> list[Object]:
    """Sources in PostgreSQL, which another offline store reads."""
    return [
        a_project(offlineStore={"type": "postgres"}),
        a_feature_view("table", source=a_postgres_source("lake.prices", **TEXT), **TEXT),
        a_feature_view("pushed-table", source=a_postgres_source("prices"), push={"enabled": True}),
        a_feature_view("mapped-table", source=a_postgres_source("prices", fieldMapping={"px": "price"})),
        a_service("of-tables", views=[{"name": "table"}, {"name": "pushed_table", "features": ["price"]}]),
    ]


def catalogs() -> list[Object]:
    """Tables of Spark's catalogs, which only a project on Spark has."""
    return [
        a_spark_project(),
        a_feature_view("table", source=a_spark_source("lake.markets.prices", **TEXT), **TEXT),
        a_feature_view("pushed-table", source=a_spark_source("lake.a.b.prices"), push={"enabled": True}),
        a_feature_view("mapped-table", source=a_spark_source(fieldMapping={"px": "price"})),
        a_service("of-tables", views=[{"name": "table"}, {"name": "pushed_table", "features": ["price"]}]),
    ]


class TestWrittenByUs:
    @pytest.fixture(scope="class")
    @staticmethod
    def world(make_world: Callable[[], World]) -> World:
        made = make_world()
        made.apply(*everything())
        return made

    def test_every_definition_is_read_back_with_the_same_digest(self, world: World) -> None:
        registered = world.registered().definitions
        declared = {item.key: item for item in world.definitions(*everything())}
        assert {key: item.spec_digest for key, item in registered.items()} == {
            key: item.spec_digest for key, item in declared.items()
        }

    def test_what_only_we_keep_is_read_back(self, world: World) -> None:
        registered = world.registered().definitions
        for item in world.definitions(*everything()):
            assert registered[item.key].extras == item.extras
            assert registered[item.key].owner == item.owner

    def test_there_is_nothing_left_to_plan(self, world: World) -> None:
        plan = world.plan(*everything(), prune=True)
        assert (plan.changes, plan.adopted, plan.kept, plan.refused) == ((), (), (), ())

    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_the_type_is_the_declared_one(self, world: World, kind: str) -> None:
        types = {item["name"]: item["type"] for item in world.spec("feature_view", "all_types")["features"]}
        assert types[f"f{ALL_TYPES.index(kind)}"] == kind

    @pytest.mark.parametrize("kind", ALL_TYPES)
    def test_feast_itself_reads_the_type(self, kind: str, views_of_feast: dict[str, Any]) -> None:
        fields = {field.name: field.dtype for field in views_of_feast["all_types"].features}
        assert _spelled(fields[f"f{ALL_TYPES.index(kind)}"]) == kind

    @pytest.fixture(scope="class")
    @staticmethod
    def views_of_feast(world: World) -> dict[str, Any]:
        return {view.name: view for view in world.sdk().list_feature_views()}

    @pytest.mark.parametrize("kind", ENTITY_TYPES)
    def test_feast_itself_reads_the_key(self, kind: str, views_of_feast: dict[str, Any]) -> None:
        (column,) = views_of_feast[f"key_{kind.lower()}"].entity_columns
        assert (column.name, str(column.dtype.name.title().replace("_", ""))) == (f"e_{kind}", kind)

    def test_text_arrives_in_feast_letter_by_letter(self, world: World, views_of_feast: dict[str, Any]) -> None:
        store = world.sdk()
        objects = {
            "project": store.registry.get_project("feast"),
            "view": views_of_feast["mapped"],
            "entity": store.get_entity("commodity"),
            "source": store.get_data_source("Mapped-Source"),
            "service": store.get_feature_service("all_features"),
        }
        for item in objects.values():
            assert (item.description, item.owner, dict(item.tags)) == (TEXT["description"], TEXT["owner"], TEXT["tags"])

    def test_a_features_text_arrives_in_feast_letter_by_letter(self, views_of_feast: dict[str, Any]) -> None:
        field = next(field for field in views_of_feast["several_entities"].features if field.name == "a")
        assert (field.description, dict(field.tags)) == (TEXT["description"], TEXT["tags"])

    def test_feast_plan_finds_a_change_that_is_there(self, world: World) -> None:
        objects = [item for item in everything() if item["metadata"]["name"] != "pushed"]
        changed = a_feature_view("pushed", push={"enabled": True}, description="another")
        found = world.feast("plan", folder=world.repo(*objects, changed, name="changed"))
        assert "Updated feature view pushed" in found.stdout


def test_feast_too_takes_another_order_of_entities_or_of_a_services_views_for_the_same(world: World) -> None:
    def objects(step: int) -> list[Object]:
        entities = [an_entity(), an_entity("a")][::step]
        views = [{"name": "commodity_prices"}, {"name": "b"}][::step]
        return [a_feature_view(entities=entities), a_feature_view("b"), a_service(views=views)]

    world.apply(*objects(1))
    assert world.plan(*objects(-1)).is_empty
    assert "No changes to registry" in world.feast("plan", folder=world.repo(*objects(-1))).stdout


@pytest.mark.parametrize("objects", [everything(), tables(), catalogs()], ids=["files", "tables", "catalogs"])
class TestOfBoth:
    def test_feast_agrees_with_what_we_wrote(self, world: World, objects: list[Object]) -> None:
        world.apply(*objects)
        folder = world.repo(*objects)
        assert "No changes to registry" in world.feast("plan", UNSEEN, folder=folder).stdout
        applied = world.feast("apply", UNSEEN, folder=folder)
        assert applied.returncode == 0, applied.stdout
        assert "No changes to registry" in world.feast("plan", UNSEEN, folder=folder).stdout
        plan = world.plan(*objects, prune=True)
        assert (plan.changes, plan.adopted, plan.kept, plan.refused) == ((), (), (), ())

    def test_we_agree_with_what_feast_wrote(self, world: World, objects: list[Object]) -> None:
        applied = world.feast("apply", UNSEEN, folder=world.repo(*objects))
        assert applied.returncode == 0, applied.stdout
        plan = world.plan(*objects, prune=True)
        assert (plan.changes, plan.refused, plan.kept) == ((), (), ())
        assert {item.key for item in plan.adopted} == {item.key for item in world.definitions(*objects)}

    def test_adopting_leaves_feasts_rows_alone(self, world: World, objects: list[Object]) -> None:
        assert world.feast("apply", UNSEEN, folder=world.repo(*objects)).returncode == 0
        before = world.feasts_rows()
        world.apply(*objects)
        assert world.feasts_rows() == before
        assert not world.plan(*objects).adopted


def _spelled(dtype: Any) -> str:
    """A type of Feast's in our spelling."""
    from feast.types import Array, Set, Struct

    if isinstance(dtype, Array | Set):
        return f"{type(dtype).__name__}({_spelled(dtype.base_type)})"
    if isinstance(dtype, Struct):
        return "Struct({" + ", ".join(f"{name}: {_spelled(kind)}" for name, kind in dtype.fields.items()) + "})"
    return str(dtype)
