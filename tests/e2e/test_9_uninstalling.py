"""The end: the release goes, and exactly that stays which its notes list."""

from e2e.deployment import NAMESPACE
from patience import until

_STAYS = {
    "featureview.featureplane.dev/commodity-price-features",
    "featureview.featureplane.dev/economic-features",
    "featureview.featureplane.dev/weather-features",
    "featureservice.featureplane.dev/price-forecast-v1",
    "featureservice.featureplane.dev/price-forecast-v2",
    "featureservice.featureplane.dev/supply-risk-v1",
    # The registry and the online rows, and the way in to them.
    "persistentvolumeclaim/data-featureplane-trial-postgresql-0",
    "persistentvolumeclaim/data-featureplane-trial-redis-0",
    "secret/featureplane-trial-postgresql",
    "secret/featureplane-trial-redis",
    # What the tests themselves made. Their Jobs belong to the CronJobs, and go with them.
    "persistentvolumeclaim/lake",
}


def test_only_what_is_listed_stays(deployment):
    deployment.helm("uninstall", "--wait", "--timeout=180s")
    until(lambda: deployment.remaining(_STAYS))


def test_the_crds_stay_and_no_object_is_stuck(deployment):
    assert deployment.whole.kubectl("get", "crd", "--output=name").count("featureplane.dev") == 3
    deployment.kubectl("delete", "fv,fsvc", "--all", "--timeout=60s")
    assert not deployment.names("fv")
    deployment.whole.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
