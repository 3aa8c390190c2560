"""The children of a project: all there, put back when somebody edits or deletes them, gone when nobody wants them."""

from cluster.api import condition, message
from cluster.operator_process import OperatorProcess
from cluster.place import Place, postgres_secret, secret
from cluster.recovery import look_count
from factories import a_feature_view, a_project
from patience import until

EXPECTED = {
    ("v1", "ConfigMap", "feast-repo"),
    ("v1", "ConfigMap", "feast-client"),
    ("v1", "ServiceAccount", "feast-server"),
    ("v1", "ServiceAccount", "feast-materialize"),
    ("v1", "Service", "feast-server"),
    ("v1", "Service", "feast-registry"),
    ("v1", "Service", "feast-offline"),
    ("apps/v1", "Deployment", "feast-server"),
    ("apps/v1", "Deployment", "feast-registry"),
    ("apps/v1", "Deployment", "feast-offline"),
    ("batch/v1", "CronJob", "feast-materialize-hourly"),
    ("batch/v1", "CronJob", "feast-materialize-daily"),
    ("policy/v1", "PodDisruptionBudget", "feast-server"),
}


def has_all(place: Place):
    return all(place.child(*each) for each in EXPECTED)


def test_every_child_is_there_and_owned_by_the_project(place: Place):
    place.apply(a_project())
    place.operator()
    until(lambda: has_all(place))
    uid = place.get(a_project())["metadata"]["uid"]
    for each in EXPECTED:
        (owner,) = place.child(*each)["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (uid, True)
    hourly = place.child("batch/v1", "CronJob", "feast-materialize-hourly")
    assert hourly["spec"]["schedule"] == "5 * * * *"
    text = str(place.child("v1", "ConfigMap", "feast-client")["data"]) + str(
        place.child(*("v1", "ConfigMap", "feast-repo"))
    )
    assert place.stores.postgres.keywords["host"] not in text


def test_a_child_that_was_edited_or_deleted_is_back_long_before_the_next_resync(place: Place):
    place.apply(a_project())
    place.operator({"FEATUREPLANE_RESYNC_SECONDS": "3600"})
    until(lambda: has_all(place))
    deployment = place.child("apps/v1", "Deployment", "feast-server")
    place.api.patch(deployment, {"spec": {"replicas": 7}})
    until(lambda: place.child("apps/v1", "Deployment", "feast-server")["spec"]["replicas"] == 2)
    config = place.child("v1", "ConfigMap", "feast-repo")
    place.api.patch(config, {"data": {"feature_store.yaml": "project: other\n"}})
    until(lambda: place.child("v1", "ConfigMap", "feast-repo")["data"] == config["data"])
    for version, kind, name in sorted(EXPECTED):
        place.api.delete(place.child(version, kind, name))
        until(lambda each=(version, kind, name): place.child(*each), what=f"{kind} {name} is not back")


def test_what_is_turned_off_goes_and_a_schedule_that_is_gone_too(place: Place):
    place.apply(a_project())
    place.operator()
    until(lambda: has_all(place))
    schedules = {"nightly": {"cron": "0 1 * * *", "window": "2d"}}
    place.apply(a_project(registryServer={"enabled": False}, offlineServer={"enabled": False}, schedules=schedules))
    gone = [each for each in EXPECTED if each[2] in {"feast-registry", "feast-offline"} or each[1] == "CronJob"]
    until(lambda: not any(place.child(*each) for each in gone))
    assert place.child("batch/v1", "CronJob", "feast-materialize-nightly")


def digest_of_pods(place: Place):
    deployment = place.child("apps/v1", "Deployment", "feast-server")
    return deployment["spec"]["template"]["metadata"]["annotations"]["featureplane.dev/config"]


def test_definitions_do_not_restart_the_server_and_its_configuration_does(place: Place):
    place.apply(a_project())
    place.operator()
    until(lambda: has_all(place))
    before = digest_of_pods(place)
    place.apply(a_feature_view())
    place.wait_for(a_feature_view(), "Registered")
    assert digest_of_pods(place) == before
    place.apply(a_project(server={"workers": 4}))
    until(lambda: digest_of_pods(place) != before)


def test_a_secret_that_changes_restarts_the_server(place: Place):
    place.apply(a_project(), a_feature_view())
    place.operator({"FEATUREPLANE_RESYNC_SECONDS": "3600"})
    place.wait_for(a_feature_view(), "Registered")
    before = digest_of_pods(place)
    place.apply(secret("feast-online", {"host": "elsewhere", "port": "6379"}))
    until(lambda: digest_of_pods(place) != before)


def test_what_somebody_else_made_under_a_childs_name_stays_theirs(place: Place):
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "feast-client"}, "data": {"a": "b"}}
    place.apply(theirs, a_project())
    place.operator({"FEATUREPLANE_RESYNC_SECONDS": "3600"})
    project = place.wait_for(a_project(), "Ready", "False", "ChildrenRefused")
    assert "ConfigMap 'feast-client' is there already" in message(project, "Ready")
    until(lambda: place.child("apps/v1", "Deployment", "feast-server"))
    found = place.child("v1", "ConfigMap", "feast-client")
    assert (found["data"], "ownerReferences" in found["metadata"]) == ({"a": "b"}, False)
    place.api.delete(found)
    until(lambda: has_all(place))


def test_an_autoscaler_begins_with_the_pods_that_are_there(place: Place):
    place.apply(a_project(server={"replicas": 5}))
    place.operator()
    until(lambda: place.child("apps/v1", "Deployment", "feast-server"))
    scaled = {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}
    place.apply(a_project(server=scaled))
    until(lambda: place.child("autoscaling/v2", "HorizontalPodAutoscaler", "feast-server"))
    deployment = place.child("apps/v1", "Deployment", "feast-server")
    assert deployment["spec"]["replicas"] == 5
    place.api.apply(scale(deployment, 7), manager="an-autoscaler")
    before = digest_of_pods(place)
    place.apply(a_project(server={**scaled, "workers": 3}))
    until(lambda: digest_of_pods(place) != before)
    assert place.child("apps/v1", "Deployment", "feast-server")["spec"]["replicas"] == 7


def scale(deployment, replicas):
    """As the autoscaler has the number in its own name."""
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
        "metadata": {name: deployment["metadata"][name] for name in ("name", "namespace")},
    }  # fmt: skip


def test_a_secret_that_is_missing_is_named_and_waited_for(place: Place):
    place.api.delete(secret("feast-registry", {}), place.namespace)
    place.apply(a_project(), a_feature_view())
    place.operator({"FEATUREPLANE_RESYNC_SECONDS": "3600"})
    place.wait_for(a_project(), "Ready", "False", "SecretNotFound")
    view = place.wait_for(a_feature_view(), "Registered", "False", "SecretNotFound")
    assert condition(view, "Stalled")[0] == "True"
    place.apply(secret("feast-registry", {"port": "1"}))
    place.wait_for(a_project(), "Ready", "False", "SecretIncomplete")
    place.apply(secret("feast-registry", postgres_secret(place.stores.postgres)))
    place.wait_for(a_feature_view(), "Registered")


def test_nothing_is_written_at_rest(place: Place):
    place.apply(a_project(), a_feature_view())
    operator = place.operator({"FEATUREPLANE_RESYNC_SECONDS": "2"})
    place.wait_for(a_feature_view(), "Registered")
    until(lambda: looks_without_writing(operator, 3))


def looks_without_writing(operator: OperatorProcess, count: int) -> bool:
    """What a change made it write may go on for a while; at rest this many looks write nothing."""

    def writes() -> float:
        return sum(
            operator.metric("featureplane_api_requests_total", verb=verb) for verb in ("PATCH", "POST", "DELETE")
        )

    before, looked = writes(), look_count(operator)
    until(lambda: look_count(operator) >= looked + count)
    return writes() == before
