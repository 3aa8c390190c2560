import pytest

from featureplane.manifests.jobs import initial_job, purge_job
from featureplane.settings import Settings, in_part
from unit.manifests.contexts import a_context, container, environment, named, one, template


def cron_job(name="hourly", **schedule):
    schedules = {name: {"cron": "5 * * * *", "window": "2h", **schedule}}
    return one(a_context(schedules=schedules), "CronJob", f"feast-materialize-{name}")["spec"]


def job(**schedule):
    return cron_job(**schedule)["jobTemplate"]["spec"]


def test_a_schedule_is_a_cron_job():
    assert {name for kind, name in named(a_context()) if kind == "CronJob"} == {
        "feast-materialize-hourly",
        "feast-materialize-daily",
    }
    spec = cron_job(cron="7 3 * * 1", timeZone="Europe/Berlin")
    assert (spec["schedule"], spec["timeZone"]) == ("7 3 * * 1", "Europe/Berlin")
    assert container(spec["jobTemplate"]["spec"]["template"])["args"] == [
        "materialize", "--registered", "--schedule", "hourly", "/etc/featureplane/project.yaml",
    ]  # fmt: skip


def test_no_run_of_a_schedule_meets_another_and_none_is_lost():
    spec = cron_job(cron="* * * * *")
    assert spec["concurrencyPolicy"] == "Forbid"
    # Kubernetes gives up on a CronJob with more than 100 missed starts within the deadline.
    assert spec["startingDeadlineSeconds"] / 60 < 100
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 3)


def test_what_a_hand_could_change_is_said_so_that_apply_undoes_it():
    assert cron_job()["suspend"] is False


def parity_args(**parity):
    spec = one(a_context(parity=parity), "CronJob", "feast-parity")["spec"]
    return container(spec["jobTemplate"]["spec"]["template"])["args"]


def test_a_run_takes_what_the_project_says_and_what_is_usual_beside_it():
    context = a_context(parity={}, runs={"resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "8Gi"}}})
    pods = [
        initial_job(context, ["prices"])["spec"]["template"],
        *(
            one(context, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
            for name in ("feast-materialize-hourly", "feast-parity")
        ),
    ]
    for pod in pods:
        assert container(pod)["resources"] == {"requests": {"cpu": "100m"}, "limits": {"memory": "8Gi"}}
    usual = container(initial_job(a_context(), ["prices"])["spec"]["template"])["resources"]
    assert usual["requests"] == {"cpu": "500m", "memory": "512Mi"}


def test_nobody_compares_unless_the_project_says_so():
    assert ("CronJob", "feast-parity") not in named(a_context())


def test_a_check_is_a_cron_job_with_the_pod_of_a_run():
    item = one(a_context(parity={"cron": "7 3 * * 1", "timeZone": "Europe/Berlin"}), "CronJob", "feast-parity")
    spec, run = item["spec"], cron_job()
    assert (spec["schedule"], spec["timeZone"]) == ("7 3 * * 1", "Europe/Berlin")
    labels = spec["jobTemplate"]["metadata"]["labels"]
    assert labels == {**run["jobTemplate"]["metadata"]["labels"], "featureplane.dev/job": "parity"}
    pods = [each["jobTemplate"]["spec"]["template"] for each in (spec, run)]
    for pod in pods:
        del container(pod)["args"]
    assert pods[0] == pods[1]


def test_no_value_is_logged_unless_the_project_says_so():
    always = ["parity", "--registered", "--record"]
    file = "/etc/featureplane/project.yaml"
    assert parity_args() == [*always, "--sample", "1000", "--differences", "0", file]
    found = parity_args(sample=50, loggedDifferences=7)
    assert found == [*always, "--sample", "50", "--differences", "7", file]


def test_a_run_ends_and_goes():
    spec = job()
    assert spec["activeDeadlineSeconds"] == 6 * 3600
    assert spec["ttlSecondsAfterFinished"] == 24 * 3600
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_that_fails_is_tried_again_and_a_node_that_goes_is_no_try():
    spec = job()
    assert spec["backoffLimit"] == 2
    (ignored,) = spec["podFailurePolicy"]["rules"]
    assert ignored == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_parallel_pods_share_the_views_and_fail_by_themselves():
    spec = job(parallelism=3)
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert spec["backoffLimitPerIndex"] == 2
    assert "backoffLimit" not in spec
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore"]
    shards = environment(spec["template"])["FEATUREPLANE_SHARDS"]
    settings = [Settings.from_env({"FEATUREPLANE_SHARDS": shards, "JOB_COMPLETION_INDEX": str(i)}) for i in range(3)]
    views = [f"view_{number}" for number in range(50)]
    assert [sum(in_part(view, each.shard, each.shards) for each in settings) for view in views] == [1] * 50


def test_one_pod_has_all_views():
    spec = job()
    assert "completionMode" not in spec
    assert "FEATUREPLANE_SHARDS" not in environment(spec["template"])


def test_a_run_knows_which_job_it_is():
    found = environment(job()["template"])["FEATUREPLANE_JOB"]
    assert found == "metadata.labels['batch.kubernetes.io/job-name']"


def test_users_find_the_jobs_of_a_schedule():
    labels = cron_job()["jobTemplate"]["metadata"]["labels"]
    assert labels.items() >= {
        ("app", "feast"),
        ("component", "materialization"),
        ("featureplane.dev/project", "feast"),
    }


def test_a_first_run_copies_the_views_it_names():
    found = initial_job(a_context(), ["b", "a"], "1")
    assert found["metadata"]["labels"].items() >= {
        ("app", "feast"),
        ("component", "materialization"),
        ("featureplane.dev/job", "initial"),
    }
    assert found["metadata"]["annotations"] == {"featureplane.dev/views": "a,b"}
    assert container(template(found))["args"] == [
        "materialize", "--registered", "--initial", "--view", "a", "--view", "b", "/etc/featureplane/project.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("views", "salt", "same"),
    [(["b", "a"], "1", True), (["a", "b"], "2", False), (["a"], "1", False), (["a", "b,c"], "1", False)],
)
def test_the_same_views_and_salt_are_the_same_job(views, salt, same):
    name = initial_job(a_context(), ["a", "b"], "1")["metadata"]["name"]
    assert name.startswith("feast-initial-")
    assert (initial_job(a_context(), views, salt)["metadata"]["name"] == name) is same


def test_a_purge():
    found = purge_job(a_context(), "0123456789abcdef")
    assert found["metadata"]["name"] == "feast-purge-0123456789"
    assert found["metadata"]["labels"]["featureplane.dev/job"] == "purge"
    assert container(template(found))["args"] == ["purge", "/etc/featureplane/project.yaml"]
