"""Comparing what is served with its sources on a cluster: the CronJob, and what the operator makes of an outcome."""

from datetime import UTC, datetime

import pytest

from cluster.api import condition, message
from cluster.place import Place
from factories import a_feature_view, a_project
from featureplane.parity import outcomes
from featureplane.parity.kinds import Kind
from featureplane.parity.outcomes import Outcome
from featureplane.registry.database import begin, engine_for
from patience import until

VIEW = "commodity_prices"


def note(place: Place, counts):
    """As a check's pod does, and a wish to look at it now, in place of the end of a Job that nobody runs here."""
    engine = engine_for(place.stores.postgres)
    try:
        with begin(engine, place.stores.postgres) as connection:
            outcomes.record(connection, "feast", Outcome(VIEW, datetime.now(UTC), counts), "feast-parity-1")
    finally:
        engine.dispose()
    wish = {"metadata": {"annotations": {"featureplane.dev/reconcile-at": datetime.now(UTC).isoformat()}}}
    place.api.patch(a_feature_view(), wish, place.namespace)


@pytest.mark.timeout(400)
def test_what_a_check_found_is_a_condition_and_a_metric(place: Place):
    place.apply(a_project(parity={"cron": "7 3 * * *"}), a_feature_view())
    operator = place.operator()
    view = place.wait_for(a_feature_view(), "Registered")
    assert condition(view, "Consistent") == ("Unknown", "NotChecked")
    job = until(lambda: place.child("batch/v1", "CronJob", "feast-parity"))
    assert job["spec"]["schedule"] == "7 3 * * *"

    note(place, {Kind.EQUAL: 97, Kind.MISSING: 2, Kind.STALE: 1, Kind.AHEAD: 5})
    view = until(lambda: _with(place, "SourceDiffers"))
    assert "97 of 100 entities are equal (97 %): 2 missing, 1 stale, 5 ahead" in message(view, "Consistent")
    # It says something of the rows, and not of the object.
    assert condition(view, "Ready") == ("False", "WaitingForFirstRun")
    until(lambda: operator.metric("featureplane_parity_rate", view=VIEW) == 0.97)
    assert operator.metric("featureplane_parity_mismatches", view=VIEW, kind="missing") == 2
    assert operator.metric("featureplane_views", condition="Consistent", status="False") == 1

    note(place, {Kind.EQUAL: 100})
    until(lambda: _with(place, "SourceMatches"))

    place.apply(a_project())
    until(lambda: place.child("batch/v1", "CronJob", "feast-parity") is None)
    until(lambda: condition(place.get(a_feature_view()), "Consistent") == ("", ""))


def _with(place: Place, reason: str):
    found = place.get(a_feature_view())
    return found if condition(found, "Consistent")[1] == reason else None
