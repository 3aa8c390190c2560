"""What teams with models of their own do on the same cluster, each in its namespace; and that nobody else notices."""

import os
from pathlib import Path

import httpx
import pytest

from e2e import model
from e2e.whole import Refused
from patience import until

GROWTH = "economic_features:gdp_growth"  # copied since the lake had new data last, unlike prices
SUBSCRIBER, BORROWER = "sub-00001", 7001
_OPERATOR = "system:serviceaccount:{}:featureplane-operator"


@pytest.fixture(scope="module")
def models(deployment, times):
    made, times["two more releases to Ready"] = model.install(
        deployment.whole, Path(os.environ["FEATUREPLANE_E2E_VOLUMES"])
    )
    yield made
    for each in made.values():
        each.delete()


@pytest.fixture
def model_a(models):
    return models["model-a"]


@pytest.fixture
def model_b(models):
    return models["model-b"]


def serves_its_own(release, feature, file, key, value):
    assert release.value(feature, **{key: value}) == release.newest(file, key, value, feature.rpartition(":")[2])


def others_are_well(deployment, model_b):
    """Ready, and serving what their lakes have."""
    serves_its_own(deployment, GROWTH, "economic_indicators.parquet", "country", "US")
    serves_its_own(model_b, "customer_profile:yearly_income", "profiles.parquet", "customer_id", BORROWER)
    for release in (deployment, model_b):
        release.kubectl("wait", "--for=condition=Ready", "fv,fsvc,fproj", "--all", "--timeout=60s")


def test_views_of_one_name_serve_the_customers_of_each(deployment, model_a, model_b):
    serves_its_own(model_a, "customer_profile:plan", "profiles.parquet", "customer_id", SUBSCRIBER)
    serves_its_own(model_a, "customer_activity:minutes_7d", "activity.parquet", "customer_id", SUBSCRIBER)
    serves_its_own(model_b, "customer_payments:late_payments_12m", "payments.parquet", "customer_id", BORROWER)
    others_are_well(deployment, model_b)
    unknown = model_a.ask(["customer_profile:yearly_income"], {"customer_id": [SUBSCRIBER]})
    assert unknown.status_code == httpx.codes.NOT_FOUND
    assert model_b.value("customer_profile:yearly_income", customer_id=1) is None


@pytest.mark.parametrize("what", ["get secrets", "create deployments", "patch featureviews.featureplane.dev"])
def test_an_operator_has_rights_in_its_own_namespace(deployment, model_a, model_b, what):
    def may(release):
        return release.kubectl("auth", "can-i", *what.split(), f"--as={_OPERATOR.format(model_a.namespace)}").strip()

    assert may(model_a) == "yes"
    for other in (deployment, model_b):
        with pytest.raises(Refused, match="no"):
            may(other)


def test_a_view_that_one_deletes_is_served_on_by_the_others(deployment, model_a, model_b):
    model_a.kubectl("delete", "fsvc", "churn-v1", "--timeout=120s")
    model_a.kubectl("delete", "fv", "customer-profile", "--timeout=120s")
    gone = {"customer_id": [SUBSCRIBER]}
    until(lambda: model_a.ask(["customer_profile:plan"], gone).status_code == httpx.codes.NOT_FOUND)
    serves_its_own(model_a, "customer_activity:minutes_7d", "activity.parquet", "customer_id", SUBSCRIBER)
    others_are_well(deployment, model_b)


def test_a_release_that_goes_leaves_what_is_listed_and_the_others(deployment, model_a, model_b):
    model_a.helm("uninstall", "--wait", "--timeout=180s")
    stays = {
        "featureview.featureplane.dev/customer-activity",
        "featureservice.featureplane.dev/churn-v2",
        "persistentvolumeclaim/lake",
        "secret/featureplane-trial-postgresql",
        "secret/featureplane-trial-redis",
    }
    until(lambda: model_a.remaining(stays))
    others_are_well(deployment, model_b)
