"""The operator itself, as plain manifests: who it is, what it may do, and its one pod."""

from typing import Any, Literal

from featureplane.manifests.context import Manifest
from featureplane.manifests.pod import CONTAINER_SECURITY, POD_SECURITY
from featureplane.manifests.rbac import rules

NAME = "featureplane-operator"
# Of the operator that watches all namespaces. A ClusterRoleBinding must say where its ServiceAccount is.
NAMESPACE = "featureplane"
PORT = 8081

# Not those of children: nobody must take the operator for a part of a project.
_SELECTOR = {"app.kubernetes.io/name": "featureplane", "app.kubernetes.io/component": "operator"}
_LABELS = {**_SELECTOR, "app.kubernetes.io/part-of": "featureplane"}
_RBAC = "rbac.authorization.k8s.io"

Watch = Literal["own", "all"]


def operator(image: str, watch: Watch) -> list[Manifest]:
    """Everything that the operator needs in a cluster with the CRDs, in the order of application."""
    prefix = "Cluster" if watch == "all" else ""
    role = {**_object(f"{_RBAC}/v1", f"{prefix}Role", watch), "rules": rules()}
    account = _object("v1", "ServiceAccount", watch)
    # Without a namespace a RoleBinding's ServiceAccount is the one in its own.
    subject = {"kind": "ServiceAccount", "name": NAME, **({"namespace": NAMESPACE} if watch == "all" else {})}
    binding = {
        **_object(f"{_RBAC}/v1", f"{prefix}RoleBinding", watch),
        "roleRef": {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": NAME},
        "subjects": [subject],
    }
    return [account, role, binding, _deployment(image, watch)]


def _deployment(image: str, watch: Watch) -> Manifest:
    spec = {
        # Two would write to one registry; the second would wait for the first, and answer to nobody.
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": dict(_SELECTOR)},
        "template": {"metadata": {"labels": dict(_LABELS)}, "spec": _pod(image, watch)},
    }
    return {**_object("apps/v1", "Deployment", watch), "spec": spec}


def _pod(image: str, watch: Watch) -> dict[str, Any]:
    own_namespace = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    container = {
        "name": "operator",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["featureplane"],
        "args": ["operator"],
        "env": [
            {"name": "FEATUREPLANE_NAMESPACE", "valueFrom": own_namespace},
            {"name": "FEATUREPLANE_WATCH", "value": watch},
            {"name": "FEATUREPLANE_IMAGE", "value": image},
            {"name": "FEATUREPLANE_OPERATOR_PORT", "value": str(PORT)},
            # What looks for a home finds one that it may write to.
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "livenessProbe": {**_asked("/healthz"), "periodSeconds": 20, "failureThreshold": 6},
        "readinessProbe": {**_asked("/readyz"), "periodSeconds": 5, "failureThreshold": 3},
        # A writer for each project that changes, each with Feast in memory: 200 MB.
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - an emptyDir
    }
    return {
        "serviceAccountName": NAME,
        # A Service named featureplane-operator would set FEATUREPLANE_OPERATOR_PORT.
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _asked(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5}


def _object(api_version: str, kind: str, watch: Watch) -> Manifest:
    everywhere = watch == "own" or kind.startswith("Cluster")
    where = {} if everywhere else {"namespace": NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": NAME, **where, "labels": dict(_LABELS)}}
