"""Contexts to make manifests of: a project, changed by keyword as in `factories`, and the Secrets that are there."""

from collections.abc import Iterable, Iterator
from typing import Any

from factories import project_model
from featureplane.manifests.children import Manifest, children
from featureplane.manifests.config_map import config_maps
from featureplane.manifests.context import Context, SecretFacts
from featureplane.manifests.cron_job import cron_jobs
from featureplane.manifests.deployment import deployments
from featureplane.manifests.horizontal_pod_autoscaler import horizontal_pod_autoscalers
from featureplane.manifests.jobs import initial_job, purge_job
from featureplane.manifests.network_policy import network_policies
from featureplane.manifests.pod_disruption_budget import pod_disruption_budgets
from featureplane.manifests.service import services
from featureplane.manifests.service_account import service_accounts

# Only what is looked at is made: YAML takes most of the time.
_BUILDERS = {
    "ConfigMap": config_maps,
    "CronJob": cron_jobs,
    "Deployment": deployments,
    "HorizontalPodAutoscaler": horizontal_pod_autoscalers,
    "NetworkPolicy": network_policies,
    "PodDisruptionBudget": pod_disruption_budgets,
    "Service": services,
    "ServiceAccount": service_accounts,
}

CLOUDNATIVE_PG = frozenset({"host", "port", "dbname", "user", "username", "password", "uri", "jdbc-uri", "pgpass"})
SERVICE_BINDING = frozenset({"type", "provider", "host", "port", "database", "username", "password"})


def facts(keys: Iterable[str] = CLOUDNATIVE_PG, version: str = "1") -> SecretFacts:
    return SecretFacts(version, frozenset(keys))


def a_context(**changes: Any) -> Context:
    """`secrets`, `image` and the like are the context's own; every other key is the project's."""
    own = {key: changes.pop(key) for key in ("image", "image_pull_secrets", "secrets") if key in changes}
    secrets = {"feast-registry": facts(), "feast-online": facts({"host", "port", "password"})}
    project = project_model(**{"namespace": "ml", **changes})
    return Context(project, "the-uid", **{"image": "featureplane:1", "secrets": secrets, **own})


def one(context: Context, kind: str, name: str) -> Manifest:
    """The child of this kind and name."""
    (found,) = [item for item in _BUILDERS[kind](context) if item["metadata"]["name"] == name]
    return found


def everything(context: Context) -> list[Manifest]:
    """Every child and one of each Job."""
    return [*children(context), *jobs(context)]


def jobs(context: Context) -> list[Manifest]:
    return [initial_job(context, ["b", "a"], "salt"), purge_job(context, "0123456789abcdef")]


def named(context: Context) -> set[tuple[str, str]]:
    return {(item["kind"], item["metadata"]["name"]) for item in children(context)}


def template(manifest: Manifest) -> dict[str, Any] | None:
    """The pod template of whatever has one."""
    spec = manifest.get("spec", {})
    return spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")


def templates(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    """By what they are for: server, registry, offline, materialize-hourly, initial, purge."""
    for manifest in [*deployments(context), *cron_jobs(context), *jobs(context)]:
        found = template(manifest)
        assert found
        name = manifest["metadata"]["name"].removeprefix(f"{context.name}-")
        yield (name.rsplit("-", 1)[0] if manifest["kind"] == "Job" else name), found


def container(pod: dict[str, Any]) -> dict[str, Any]:
    """Ours, of a pod template."""
    (found,) = [item for item in pod["spec"]["containers"] if item["name"] == "featureplane"]
    return found


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """Variables: their value, or `secret/key`, with a `?` where it need not be there."""
    return {item["name"]: item["value"] if "value" in item else _source(item) for item in container(pod)["env"]}


def _source(item: dict[str, Any]) -> str:
    reference = item["valueFrom"].get("secretKeyRef")
    if reference is None:
        return str(item["valueFrom"]["fieldRef"]["fieldPath"])
    return f"{reference['name']}/{reference['key']}{'?' if reference.get('optional') else ''}"
