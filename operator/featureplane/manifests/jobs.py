"""Jobs: what every run is made of, and those that the operator starts itself.

A pod that ends with an error is tried again, and copies only the views that its Job has not copied yet: by then the
store that was away may be back. A node that goes does not count as a try. What fails to the end stands in the run
history, and the next run looks back to the last success.
"""

from collections.abc import Sequence
from typing import Any

from featureplane import names
from featureplane.manifests import resources
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.environment import plain
from featureplane.manifests.labels import Component, job_labels
from featureplane.manifests.pod import PROJECT_FILE, Pod, pod_template
from featureplane.model.feast_project import Resources
from featureplane.rendering.definitions import digest

_HOUR = 3600
# All history, or a purge with its pauses.
_LONGEST = 24 * _HOUR
_KEPT = 24 * _HOUR
_RETRIES = 2
# Of the pods of an Indexed Job, as of any other: which Job it is.
_JOB_LABEL = "metadata.labels['batch.kubernetes.io/job-name']"


def initial_job(context: Context, views: Sequence[str], salt: str = "") -> Manifest:
    """Copies all rows of these views (by their Feast names) now.

    The same views and salt are the same Job. One that is to run again, after it failed, needs another salt.
    """
    wanted = sorted(views)
    chosen = [word for view in wanted for word in ("--view", view)]
    args = ["materialize", "--registered", "--initial", *chosen, PROJECT_FILE]
    name = names.job(context.name, "initial", digest([wanted, salt]))
    annotations = {names.ANNOTATION_VIEWS: ",".join(wanted)}
    return _job(context, name, "initial", run(context, args, longest=_LONGEST), annotations)


def purge_job(context: Context, digest: str) -> Manifest:
    """Removes online rows whose time has come. `digest` tells it from an earlier purge."""
    pod = _pod(context, ["purge", PROJECT_FILE], resources.small(), reads_sources=False)
    name = names.job(context.name, "purge", digest)
    return _job(context, name, "purge", _spec(context, pod, longest=_LONGEST), {})


def run(context: Context, args: Sequence[str], *, longest: int, parallelism: int = 1) -> dict[str, Any]:
    """`spec` of a Job that copies rows within `longest` seconds, its views shared by so many pods."""
    shards = [plain("FEATUREPLANE_SHARDS", str(parallelism))] if parallelism > 1 else []
    needed = resources.reader(context.project.spec.runs.resources)
    pod = _pod(context, args, needed, reads_sources=True, env=shards)
    return _spec(context, pod, longest=longest, parallelism=parallelism)


def _job(context: Context, name: str, purpose: str, spec: dict[str, Any], annotations: dict[str, str]) -> Manifest:
    labels = {**job_labels(context.name), names.LABEL_JOB: purpose}
    manifest = child(context, "Job", name, Component.MATERIALIZATION, labels)
    manifest["metadata"]["annotations"] = annotations
    return {**manifest, "spec": spec}


def _pod(
    context: Context,
    args: Sequence[str],
    needed: Resources,
    *,
    reads_sources: bool,
    env: Sequence[dict[str, Any]] = (),
) -> Pod:
    job = {"name": "FEATUREPLANE_JOB", "valueFrom": {"fieldRef": {"fieldPath": _JOB_LABEL}}}
    return Pod(
        component=Component.MATERIALIZATION,
        args=args,
        service_account=names.materialize(context.name),
        resources=needed,
        reads_sources=reads_sources,
        env=[job, *env],
        restart_policy="Never",
    )


def _spec(context: Context, pod: Pod, *, longest: int, parallelism: int = 1) -> dict[str, Any]:
    # A part of the views that fails must not end the others' pods, as one count of retries for the Job would.
    indexed = {"completionMode": "Indexed", "completions": parallelism, "parallelism": parallelism}
    shape = {**indexed, "backoffLimitPerIndex": _RETRIES} if parallelism > 1 else {"backoffLimit": _RETRIES}
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    return {
        **shape,
        "activeDeadlineSeconds": longest,
        "ttlSecondsAfterFinished": _KEPT,
        "podFailurePolicy": {"rules": rules},
        "template": pod_template(context, pod),
    }
