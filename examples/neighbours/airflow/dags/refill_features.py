"""A DAG that has features copied as soon as their file is new, waits for it, and fails where it fails.

A run is a Job of one of the project's CronJobs, as `kubectl create job --from=cronjob/feast-materialize-hourly` makes.
What needs fresh features comes after `has_run`, or waits for the asset of its own.
"""

import hashlib
from datetime import timedelta
from http import HTTPStatus

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.sdk import Asset, dag, task
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import ApiException, V1CronJob, V1Job, V1ObjectMeta, V1OwnerReference

PRICES = Asset("s3://lake/features/commodity_prices.parquet")
FEATURES = Asset("feast://254carbon/hourly")
# A run of a schedule is ended by then, see docs/materialization.md.
LONGEST = timedelta(hours=6, minutes=10)


@dag(
    schedule=[PRICES],
    params={"namespace": "data-platform", "cron_job": "feast-materialize-hourly"},
    max_active_runs=1,
    tags=["features"],
)
def refill_features() -> None:
    @task(retries=3, retry_delay=timedelta(seconds=10))
    def ask_for_run(params: dict, run_id: str, ti) -> str:  # noqa: ANN001 - Airflow's, whichever class it is
        """The Job's name, which is new each time: a pod passes over what a Job of its name has copied."""
        batch = KubernetesHook().batch_v1_client
        cron_job = batch.read_namespaced_cron_job(params["cron_job"], params["namespace"])
        number = hashlib.sha256(f"{run_id} {ti.try_number}".encode()).hexdigest()[:10]
        job = job_of(cron_job, f"{params['cron_job']}-{number}")
        try:
            batch.create_namespaced_job(params["namespace"], job)
        except ApiException as error:
            if error.status != HTTPStatus.CONFLICT:  # it is there: made by us, and the answer was lost
                raise
        return job.metadata.name

    # Between two looks it takes no worker's place.
    @task.sensor(mode="reschedule", poke_interval=10, timeout=LONGEST.total_seconds(), outlets=[FEATURES])
    def has_run(job_name: str, params: dict) -> bool:
        hook = KubernetesHook()
        try:
            job = hook.get_job(job_name, params["namespace"])
        except ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise AirflowFailException(f"Job {job_name} was deleted before it ended") from error
            raise
        if reason := hook.is_job_failed(job):
            raise AirflowFailException(
                f"Job {job_name} failed ({reason}); kubectl -n {params['namespace']} logs -l job-name={job_name} "
                "and kubectl get featureviews say why"
            )
        return bool(hook.is_job_successful(job))

    has_run(ask_for_run())


def job_of(cron_job: V1CronJob, name: str) -> V1Job:
    """The CronJob's own, so that its schedule waits for it, and its history has it."""
    template = cron_job.spec.job_template
    owner = V1OwnerReference(
        api_version="batch/v1", kind="CronJob", name=cron_job.metadata.name, uid=cron_job.metadata.uid, controller=True
    )
    metadata = V1ObjectMeta(
        name=name,
        labels=template.metadata.labels,
        annotations={**(template.metadata.annotations or {}), "cronjob.kubernetes.io/instantiate": "manual"},
        owner_references=[owner],
    )
    return V1Job(api_version="batch/v1", kind="Job", metadata=metadata, spec=template.spec)


refill_features()
