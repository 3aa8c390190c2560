"""What a view's status says, and that it stays byte for byte the same while nothing changes."""

from datetime import UTC, datetime, timedelta

import pytest

from factories import a_feature_view, a_project
from featureplane.controller.conditions import transitions
from featureplane.controller.inventory import Inventory
from featureplane.controller.view_status import Facts, view_status
from featureplane.errors import Problem
from featureplane.materialization.history import Run
from featureplane.model.crd import RESOURCES, manifest
from featureplane.model.feast_project import FeastProject
from featureplane.parity.kinds import Kind
from featureplane.parity.outcomes import Outcome
from unit.controller.test_inventory import in_cluster

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PROJECT = FeastProject.model_validate(in_cluster(a_project()))


def item(**changes):
    inventory = Inventory()
    inventory.observe("ADDED", in_cluster(a_feature_view(**changes)))
    return next(iter(inventory.items.values()))


def a_run(ended=NOW, result="Succeeded", **changes):
    values = {
        "view": "commodity_prices", "job": "hourly", "window_start": ended - timedelta(hours=2), "window_end": ended,
        "started_at": ended - timedelta(minutes=1), "finished_at": ended, "result": result, "rows_written": 7,
        "max_event_time": ended - timedelta(minutes=5),
    }  # fmt: skip
    return Run(**{**values, **changes})


def facts(**changes):
    return Facts(**{"project": PROJECT, "digest": "d", **changes})


def conditions(view, known, now=NOW):
    status, _ = view_status(view, known, now)
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def test_copied_and_fresh_is_ready():
    found = conditions(item(), facts(runs=[a_run()]))
    assert found == {
        "Ready": ("True", "Ready"), "Valid": ("True", "Valid"), "Registered": ("True", "Registered"),
        "Materialized": ("True", "Copied"), "Fresh": ("True", "UpToDate"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "known", "ready", "also"),
    [
        ({}, {"waits": True}, ("False", "WaitingForFirstRun"), "Reconciling"),
        ({}, {"runs": [a_run()], "waits": True}, ("False", "WaitingForFirstRun"), "Reconciling"),
        ({}, {"runs": [a_run(result="Failed", message="no file")]}, ("False", "RunFailed"), None),
        ({}, {"runs": [a_run(NOW - timedelta(hours=3))]}, ("False", "RunsMissing"), None),
        ({}, {"unregistered": ("Pending", "soon")}, ("False", "Pending"), "Reconciling"),
        ({}, {"unregistered": ("SecretNotFound", "make it")}, ("False", "SecretNotFound"), "Stalled"),
        ({}, {"problems": [Problem("", 0, "spec.ttl", "is wrong", reason="Bad")]}, ("False", "Bad"), "Stalled"),
        ({"online": False}, {}, ("True", "Ready"), None),
        ({"materialization": {"schedule": "never"}}, {"waits": True}, ("True", "Ready"), None),
        ({"suspend": True}, {"waits": True}, ("True", "Suspended"), None),
        ({}, {"held": ("InUse", "by a service"), "runs": [a_run()]}, ("False", "InUse"), "Reconciling"),
    ],
)
def test_every_state_has_a_reason(changes, known, ready, also):
    found = conditions(item(**changes), facts(**known))
    assert found["Ready"] == ready
    assert {"Reconciling", "Stalled"} & set(found) == ({also} if also else set())


def test_a_registry_that_does_not_answer_makes_no_view_ready():
    """Whether a view waits for its first run is not known then."""
    view = item()
    assert conditions(view, facts(waits=None))["Ready"] == ("Unknown", "RegistryUnavailable")
    view.status, _ = view_status(view, facts(waits=True), NOW)
    assert conditions(view, facts(waits=None))["Ready"] == ("False", "WaitingForFirstRun")
    view.status, _ = view_status(view, facts(runs=[a_run()]), NOW)
    assert conditions(view, facts(waits=None))["Ready"] == ("True", "Ready")
    assert conditions(view, facts(waits=None, digest="another"))["Ready"] == ("Unknown", "RegistryUnavailable")


CHECKED = FeastProject.model_validate(in_cluster(a_project(parity={"minimumRate": 0.9})))


def checked(**changes):
    return facts(project=CHECKED, runs=[a_run()], **changes)


def an_outcome(**changes):
    return Outcome("commodity_prices", **{"checked_at": NOW, "counts": {Kind.EQUAL: 9, Kind.STALE: 1}, **changes})


@pytest.mark.parametrize(
    ("outcome", "found", "words"),
    [
        (None, ("Unknown", "NotChecked"), "nobody has compared it with its source yet"),
        (an_outcome(), ("True", "SourceMatches"), "9 of 10 entities are equal (90 %): 1 stale"),
        (
            an_outcome(counts={Kind.EQUAL: 8, Kind.MISSING: 2, Kind.AHEAD: 3}), ("False", "SourceDiffers"),
            "8 of 10 entities are equal (80 %): 2 missing, 3 ahead; featureplane parity shows where they differ",
        ),
        (an_outcome(counts={Kind.PENDING: 3}), ("Unknown", "NothingCompared"), "nothing was compared"),
        (an_outcome(counts={}, failed=True, message="no file"), ("Unknown", "CheckFailed"), "no file"),
    ],
)  # fmt: skip
def test_what_a_check_found_is_a_condition_of_its_own(outcome, found, words):
    status, _ = view_status(item(), checked(parity=outcome), NOW)
    (condition,) = [each for each in status["conditions"] if each["type"] == "Consistent"]
    assert ((condition["status"], condition["reason"]), condition["message"]) == (found, words)
    assert conditions(item(), checked(parity=outcome))["Ready"] == ("True", "Ready")


def test_nobody_says_that_a_view_is_consistent_where_nobody_compares():
    for view, known in ((item(), facts(parity=an_outcome())), (item(online=False), checked(parity=an_outcome()))):
        assert "Consistent" not in conditions(view, known)


def test_a_registry_that_does_not_answer_forgets_no_check():
    view = item()
    view.status, _ = view_status(view, checked(parity=an_outcome()), NOW)
    assert view_status(view, checked(waits=None), NOW)[0]["conditions"] == view.status["conditions"]


def test_the_next_status_of_an_unchanged_view_is_the_same():
    view = item()
    view.status, _ = view_status(view, facts(runs=[a_run()]), NOW)
    again, _ = view_status(view, facts(), NOW + timedelta(minutes=70))
    assert again == view.status


def test_the_time_of_a_transition_stays_until_the_status_flips():
    view = item()
    view.status, _ = view_status(view, facts(waits=True), NOW)
    later = NOW + timedelta(minutes=9)
    status, found = view_status(view, facts(runs=[a_run()]), later)
    since = {each["type"]: each["lastTransitionTime"] for each in status["conditions"]}
    assert since["Ready"] == "2026-01-01T12:09:00Z"
    assert since["Registered"] == "2026-01-01T12:00:00Z"
    flipped = {each.condition.type for each in transitions(found, view.status["conditions"])}
    assert flipped == {"Ready", "Materialized", "Fresh"}


def test_runs_are_the_newest_five_and_the_newest_event_never_goes_back():
    view = item()
    old = [a_run(NOW - timedelta(hours=hours)) for hours in range(4)]
    view.status, _ = view_status(view, facts(runs=old), NOW)
    late = a_run(NOW + timedelta(hours=1), max_event_time=NOW - timedelta(days=3))
    failed = a_run(NOW + timedelta(hours=2), "Failed", max_event_time=None, rows_written=None, message="x" * 5000)
    status, _ = view_status(view, facts(runs=[failed, late]), NOW)
    ended = [run["completionTime"] for run in status["runs"]]
    assert ended == sorted(ended, reverse=True)
    assert len(ended) == 5
    assert ended[0] == "2026-01-01T14:00:00Z"
    assert status["maxEventTimestamp"] == "2026-01-01T11:55:00Z"


def test_the_next_run_moves_on_with_a_run_and_not_with_the_clock():
    view = item()
    view.status, _ = view_status(view, facts(), NOW)
    assert view.status["nextScheduleTime"] == "2026-01-01T12:05:00Z"
    later = NOW + timedelta(hours=3)
    assert view_status(view, facts(), later)[0]["nextScheduleTime"] == "2026-01-01T12:05:00Z"
    assert view_status(view, facts(runs=[a_run()]), later)[0]["nextScheduleTime"] == "2026-01-01T15:05:00Z"
    daily = item(materialization={"schedule": "daily"})
    daily.status = view.status
    assert view_status(daily, facts(runs=[a_run()]), later)[0]["nextScheduleTime"] == "2026-01-02T02:00:00Z"


def test_a_status_is_what_the_crd_takes():
    import jsonschema

    (view,) = (each for each in RESOURCES if each.kind == "FeatureView")
    schema = manifest(view)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    problems = [Problem("", 0, f"spec.{number}", "x" * 3000) for number in range(9)]
    for known in (facts(runs=[a_run(message="y" * 9000)]), facts(problems=problems)):
        status, _ = view_status(item(), known, NOW)
        jsonschema.validate(status, schema)
        assert set(status) <= set(schema["properties"])


def test_a_run_s_rows_are_in_the_status_as_far_as_they_are_known():
    counted, _ = view_status(item(), facts(runs=[a_run(rows_read=12, rows_rejected=0)]), NOW)
    found = counted["runs"][0]
    assert (found["rowsRead"], found["rowsWritten"], found["rejected"]) == (12, 7, 0)
    unknown, _ = view_status(item(), facts(runs=[a_run(result="Failed", rows_written=None)]), NOW)
    assert not {"rowsRead", "rowsWritten", "rejected"} & set(unknown["runs"][0])
