"""A CronJob for each schedule of the project."""

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.jobs import run
from featureplane.manifests.labels import Component, job_labels
from featureplane.manifests.pod import PROJECT_FILE
from featureplane.model.feast_project import Schedule

# A start that was missed, or came while the run before still ran, is made up for within this time. Kubernetes gives up
# on a CronJob that missed more than 100 in it; a line that is due every minute misses 60.
_STARTING_DEADLINE = 3600
# A run that hangs keeps all later ones from starting: longer than any is meant to take, shorter than a night.
_LONGEST = 6 * 3600


def cron_jobs(context: Context) -> list[Manifest]:
    return [_cron_job(context, name, schedule) for name, schedule in sorted(context.project.spec.schedules.items())]


def _cron_job(context: Context, name: str, schedule: Schedule) -> Manifest:
    args = ["materialize", "--registered", "--schedule", name, PROJECT_FILE]
    spec = {
        # Said so that a hand that changed it is undone: what apply leaves out it leaves alone.
        "suspend": False,
        "schedule": schedule.cron,
        "timeZone": schedule.time_zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _STARTING_DEADLINE,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": job_labels(context.name)},
            "spec": run(context, args, longest=_LONGEST, parallelism=schedule.parallelism),
        },
    }
    return {**child(context, "CronJob", names.materialize(context.name, name), Component.MATERIALIZATION), "spec": spec}
