import pytest

from factories import a_service, problems_in
from featureplane.model.feature_service import FeatureService


def test_only_views_are_required():
    service = FeatureService.model_validate(a_service())
    assert problems_in(a_service()) == []
    assert service.feast_name == "price_model"
    assert service.project_key == ("default", "feast")
    assert service.spec.views[0].features is None


def test_a_service_of_another_namespaces_project():
    service = FeatureService.model_validate(
        a_service(feast_name="m", projectRef={"name": "p", "namespace": "platform"})
    )
    assert service.feast_name == "m"
    assert service.project_key == ("platform", "p")


VIEW = {"name": "prices"}


@pytest.mark.parametrize(
    ("views", "problem"),
    [
        (None, ": is missing; add views: The feature views that are used."),
        ([], ": is empty; write at least one"),
        ("prices", ": must be a list, not 'prices'; start each item with a dash"),
        (["prices"], "[0]: must be a mapping, not 'prices'; write its fields below it, indented"),
        ([VIEW, VIEW], "[1].name: 'prices' stands here a second time, after [0]; keep one of them"),
        ([{}], "[0].name: is missing; add name: Name of the feature view in Feast."),
        ([{**VIEW, "features": []}], "[0].features: is empty; write at least one"),
        ([{**VIEW, "features": "*"}], "[0].features: must be a list, not '*'; start each item with a dash"),
        (
            [{**VIEW, "features": ["a", "b", "a"]}],
            "[0].features[2]: 'a' stands here a second time, after [0]; keep one of them",
        ),
        ([{**VIEW, "feature": ["a"]}], "[0].feature: is not a field; did you mean features?"),
        ([{"name": f"v{i}"} for i in range(101)], ": is longer than 100 entries; shorten it"),
    ],
)
def test_other_views_are_refused(views, problem):
    assert problems_in(a_service(views=views)) == [f"spec.views{problem}"]
