"""Which objects can be registered beside each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from factories import a_feature_view, a_project, a_service, a_source, an_entity
from featureplane import names
from featureplane.controller.inventory import Inventory
from featureplane.controller.judge import judge
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.definitions import define
from unit.controller.test_inventory import KEY, in_cluster


def judged(*objects, project=None):
    """The verdict on objects in the order of their age."""
    inventory = Inventory()
    for number, item in enumerate(objects):
        created = f"2026-01-01T00:00:{number:02}Z"
        inventory.observe("ADDED", in_cluster(item, uid=str(number), creationTimestamp=created))
    model = FeastProject.model_validate(in_cluster(project or a_project()))
    return judge(model, inventory.members(KEY, names.FEATURE_VIEW), inventory.members(KEY, names.FEATURE_SERVICE))


def other(name, **changes):
    return a_feature_view(name, **{"source": a_source(file={"path": f"{name}.parquet"}), **changes})


def reasons(verdict):
    return {key[2]: problems[0].reason for key, problems in verdict.problems.items()}


def right(verdict):
    return {item.metadata.name for item in (*verdict.declarations.views, *verdict.declarations.services)}


def test_the_older_of_two_names_wins():
    verdict = judged(other("new-one", feast_name="prices"), other("another", feast_name="PRICES"))
    assert (right(verdict), reasons(verdict)) == ({"new-one"}, {"another": "NameConflict"})


def test_a_loser_takes_nothing_from_anybody():
    """b loses its name to a, so its entity is nobody's, and c may define it otherwise."""
    a = other("a", feast_name="prices", entities=[an_entity("commodity")])
    b = other("b", feast_name="prices", entities=[an_entity("market", type="Int64")])
    c = other("c", entities=[an_entity("market")])
    verdict = judged(a, b, c)
    assert (right(verdict), reasons(verdict)) == ({"a", "c"}, {"b": "NameConflict"})


def test_each_is_judged_by_itself_and_beside_the_project():
    never = other("later", materialization={"schedule": "weekly"})
    verdict = judged(other("first"), never, other("broken", features=[]))
    assert right(verdict) == {"first"}
    assert reasons(verdict) == {"later": "ScheduleNotFound", "broken": "Invalid"}


def test_a_service_waits_for_a_view_that_is_wrong_and_names_one_that_is_missing():
    wrong = a_feature_view(features=[])
    absent = a_service("absent", views=[{"name": "nowhere"}])
    verdict = judged(wrong, a_service(), absent)
    assert reasons(verdict)["price-model"] == "ViewNotReady"
    assert reasons(verdict)["absent"] == "ViewNotFound"


def test_what_the_registry_refuses_takes_its_services_along():
    verdict = judged(a_feature_view(), other("other"), a_service())
    refused = verdict.without({(names.FEATURE_VIEW, "data", "commodity-prices"): ["the type is immutable"]})
    assert right(refused) == {"other"}
    assert reasons(refused) == {"commodity-prices": "Immutable", "price-model": "ViewNotReady"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["String", "Int64"]), st.sampled_from(["s", "t"])),
        max_size=7,
    )
)
def test_what_is_right_can_always_be_defined_and_every_other_object_says_why(shapes):
    views = [
        a_feature_view(
            f"view-{number}", feast_name=name, entities=[an_entity(type=kind)],
            source=a_source(name=source, file={"path": f"{source}{number % 2}.parquet"}),
        )
        for number, (name, kind, source) in enumerate(shapes)
    ]  # fmt: skip
    verdict = judged(*views)
    assert len(right(verdict)) + len(verdict.problems) == len(views)
    definitions = define(verdict.declarations)
    assert len({item.key for item in definitions}) == len(definitions)
    if views:
        assert "view-0" in right(verdict)
