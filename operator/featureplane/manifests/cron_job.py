"""A CronJob for each schedule of the project, and one that compares what is served with its sources."""

from typing import Any

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.jobs import run
from featureplane.manifests.labels import Component, job_labels
from featureplane.manifests.pod import PROJECT_FILE
from featureplane.model.feast_project import Parity, Schedule

# What the Jobs that compare are labelled with.
PARITY = "parity"
# A start that was missed, or came while the run before still ran, is made up for within this time. Kubernetes gives up
# on a CronJob that missed more than 100 in it; a line that is due every minute misses 60.
_STARTING_DEADLINE = 3600
# A run that hangs keeps all later ones from starting: longer than any is meant to take, shorter than a night.
_LONGEST = 6 * 3600


def cron_jobs(context: Context) -> list[Manifest]:
    spec = context.project.spec
    runs = [_schedule(context, name, schedule) for name, schedule in sorted(spec.schedules.items())]
    return [*runs, *([_parity(context, spec.parity)] if spec.parity else [])]


def _schedule(context: Context, name: str, schedule: Schedule) -> Manifest:
    args = ["materialize", "--registered", "--schedule", name, PROJECT_FILE]
    job = run(context, args, longest=_LONGEST, parallelism=schedule.parallelism)
    return _cron_job(context, names.materialize(context.name, name), schedule, job)


def _parity(context: Context, parity: Parity) -> Manifest:
    """Nothing of a view's values leaves the pod unless the project says so."""
    options = {"--sample": parity.sample, "--differences": parity.logged_differences}
    words = [word for option, number in options.items() for word in (option, str(number))]
    job = run(context, ["parity", "--registered", "--record", *words, PROJECT_FILE], longest=_LONGEST)
    return _cron_job(context, names.parity(context.name), parity, job, {names.LABEL_JOB: PARITY})


def _cron_job(
    context: Context, name: str, when: Schedule | Parity, job: dict[str, Any], labels: dict[str, str] | None = None
) -> Manifest:
    spec = {
        # Said so that a hand that changed it is undone: what apply leaves out it leaves alone.
        "suspend": False,
        "schedule": when.cron,
        "timeZone": when.time_zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _STARTING_DEADLINE,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": {**job_labels(context.name), **(labels or {})}}, "spec": job},
    }
    return {**child(context, "CronJob", name, Component.MATERIALIZATION, labels), "spec": spec}
