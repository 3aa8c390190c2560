"""The end: the release goes, and exactly that stays which its notes list."""

from e2e.deployment import NAMESPACE
from e2e.whole import until

# What the tests themselves made, and what every namespace has.
_OTHERS = {
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
    "persistentvolumeclaim/lake",
    "job.batch/by-hand-hourly",
    "job.batch/by-hand-daily",
}
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
}


def everything(deployment) -> set[str]:
    kinds = deployment.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    wanted = ",".join(kind for kind in kinds if not kind.startswith("events"))
    return set(deployment.kubectl("get", wanted, "--output=name").split())


def test_only_what_is_listed_stays(deployment):
    deployment.helm("uninstall", "--wait", "--timeout=180s")
    until(lambda: everything(deployment) - _OTHERS == _STAYS or different(everything(deployment)), 180)


def different(found: set[str]) -> None:
    unexpected, missing = found - _OTHERS - _STAYS, _STAYS - found
    raise AssertionError(f"left behind: {sorted(unexpected)}; gone: {sorted(missing)}")


def test_the_crds_stay_and_no_object_is_stuck(deployment):
    assert deployment.whole.kubectl("get", "crd", "--output=name").count("featureplane.dev") == 3
    deployment.kubectl("delete", "fv,fsvc", "--all", "--timeout=60s")
    assert not deployment.names("fv")
    deployment.whole.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
