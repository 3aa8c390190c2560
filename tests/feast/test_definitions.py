"""The constant loader builds every golden repo, and our digests change exactly where Feast's own comparison does."""

import importlib.util
import json
from pathlib import Path

import pytest

from factories import a_feature, a_feature_view, a_service, an_entity, defined
from featureplane.rendering.repo import feature_repo

GOLDEN = sorted((Path(__file__).parents[1] / "golden").rglob("definitions.json"))


@pytest.fixture(scope="module")
def loader():
    spec = importlib.util.spec_from_file_location("loader", feature_repo() / "featureplane_loader.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: str(path.parent.relative_to(path.parents[1])))
def test_the_loader_builds_what_a_golden_repo_says(loader, path):
    definitions = json.loads(path.read_text())["definitions"]
    built = loader.build(definitions)
    assert [name for _, name in built] == [item["spec"]["name"] for item in definitions]
    for item in definitions:
        found, spec = built[item["kind"], item["spec"]["name"]], item["spec"]
        assert (found.name, found.description, found.owner) == (spec["name"], spec["description"], spec["owner"])
        assert found.tags == spec["tags"]


def built(loader, *objects):
    """The last of the objects, as our definition and as Feast's object after a way through its protobuf."""
    definitions = defined(*objects)
    found = loader.build([{"kind": item.kind, "spec": item.spec} for item in definitions])
    thing = found[definitions[-1].key]
    return definitions[-1], type(thing).from_proto(thing.to_proto())


A, B = a_feature("a"), a_feature("b", "Int64")
ONE, TWO = an_entity("one"), an_entity("two", type="Int64")
VIEWS = [a_feature_view(name, features=[A, B]) for name in ("v", "w")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([a_feature_view(entities=[ONE, TWO])], [a_feature_view(entities=[TWO, ONE])], True),
        ([a_feature_view(features=[A, B])], [a_feature_view(features=[B, A])], False),
        ([a_feature_view(tags={"a": "1", "b": "2"})], [a_feature_view(tags={"b": "2", "a": "1"})], True),
        ([a_feature_view(ttl="24h")], [a_feature_view(ttl="1d")], True),
        ([a_feature_view(ttl="24h")], [a_feature_view()], False),
        ([a_feature_view(owner="a")], [a_feature_view(owner="b")], False),
        ([a_feature_view(suspend=True)], [a_feature_view()], True),
        (
            [*VIEWS, a_service(views=[{"name": "v"}, {"name": "w"}])],
            [*VIEWS, a_service(views=[{"name": "w"}, {"name": "v"}])],
            True,
        ),
        (
            [*VIEWS, a_service(views=[{"name": "v", "features": ["a", "b"]}])],
            [*VIEWS, a_service(views=[{"name": "v", "features": ["b", "a"]}])],
            False,
        ),
        (
            [*VIEWS, a_service(views=[{"name": "v", "features": ["a", "b"]}])],
            [*VIEWS, a_service(views=[{"name": "v"}])],
            True,
        ),
    ],
)
def test_what_feast_would_not_write_has_the_same_digest(loader, one, other, same):
    (mine, feasts), (mine_too, feasts_too) = built(loader, *one), built(loader, *other)
    assert (feasts == feasts_too) is same
    assert (mine.spec_digest == mine_too.spec_digest) is same


def test_the_names_of_stores_and_engines_are_feasts():
    from feast.repo_config import BATCH_ENGINE_CLASS_FOR_TYPE, OFFLINE_STORE_CLASS_FOR_TYPE

    from featureplane.model.feast_project import BatchEngine, OfflineStore

    offline = set(OfflineStore.model_fields["type"].annotation.__args__)
    engines = set(BatchEngine.model_fields["type"].annotation.__args__) - {"columnar"}
    assert offline <= set(OFFLINE_STORE_CLASS_FOR_TYPE)
    assert engines <= set(BATCH_ENGINE_CLASS_FOR_TYPE)
