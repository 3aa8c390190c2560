"""How every child begins, and the kinds there are."""

from collections.abc import Mapping

from featureplane import names
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component, labels

# apiVersion, kind and plural of everything that is made here: what is watched, pruned and allowed by RBAC.
KINDS = (
    ("v1", "ConfigMap", "configmaps"),
    ("v1", "ServiceAccount", "serviceaccounts"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("v1", "Service", "services"),
    ("apps/v1", "Deployment", "deployments"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch/v1", "Job", "jobs"),
)
_API_VERSIONS = {kind: api_version for api_version, kind, _ in KINDS}


def child(
    context: Context, kind: str, name: str, component: Component, more_labels: Mapping[str, str] | None = None
) -> Manifest:
    """apiVersion, kind and metadata of a child. The garbage collector removes it after the FeastProject."""
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.FEAST_PROJECT,
        "name": context.name,
        "uid": context.uid,
        "controller": True,
        # A FeastProject must not wait for its pods to end.
        "blockOwnerDeletion": False,
    }
    metadata = {
        "name": name,
        "namespace": context.namespace,
        "labels": {**labels(context.name, component), **(more_labels or {})},
        "ownerReferences": [owner],
    }
    return {"apiVersion": _API_VERSIONS[kind], "kind": kind, "metadata": metadata}
