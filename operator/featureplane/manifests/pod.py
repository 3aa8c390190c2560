"""The pod that every other one is made of: hardened, without an API token, with the stores in its environment.

It meets the restricted Pod Security Standard. The project's `podTemplate` is merged over it and wins, hardening
included: who writes a FeastProject decides about its pods (OpenShift gives out user numbers itself, say, and takes
`runAsUser: null`). Kept is what makes the pod ours: its labels, its container's name, command and arguments, whether it
starts again, and the annotation that replaces it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from featureplane import names
from featureplane.manifests.context import Context
from featureplane.manifests.environment import Surroundings, object_store, plain, registry, stores
from featureplane.manifests.labels import Component, pod_labels
from featureplane.manifests.merging import merge
from featureplane.manifests.mounted import tls, token
from featureplane.model.feast_project import Resources

# In every pod under one name, so that a `podTemplate` can add to it.
CONTAINER = "featureplane"
_CONFIG_FOLDER = "/etc/featureplane"
PROJECT_FILE = f"{_CONFIG_FOLDER}/{names.PROJECT_FILE}"
REPO = "/feast/feature_repo"

_USER = 10001
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "fsGroup": _USER,
    # Not the owner of every file of a data lake, one after the other, at each start.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_WRITABLE = Surroundings(
    # What looks for a home finds one that it may write to.
    [{"name": "HOME", "value": "/tmp"}, {"name": "FEATUREPLANE_STATE_DIR", "value": "/tmp/featureplane"}],  # noqa: S108
    [{"name": "tmp", "mountPath": "/tmp"}, {"name": "repo", "mountPath": REPO}],  # noqa: S108 - an emptyDir
    [{"name": "tmp", "emptyDir": {}}, {"name": "repo", "emptyDir": {}}],
)


@dataclass(frozen=True)
class Pod:
    """What one pod has beside what all of them have."""

    component: Component
    args: Sequence[str]
    service_account: str
    resources: Resources
    # Gets the volume with the sources, and the Secret of the offline store as environment.
    reads_sources: bool = False
    # Whether it asks the Kubernetes API who a client is.
    has_token: bool = False
    tls_secret: str | None = None
    env: Sequence[Mapping[str, Any]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    restart_policy: Literal["Always", "Never"] = "Always"
    # Further fields of the container, and of the pod's spec.
    container: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


def pod_template(context: Context, pod: Pod) -> dict[str, Any]:
    """`template` of a Deployment or a Job."""
    around = _WRITABLE + _config(context)
    inside = around + stores(context) + (_data(context) if pod.reads_sources else Surroundings())
    inside += (token() if pod.has_token else Surroundings()) + (
        tls(pod.tls_secret) if pod.tls_secret else Surroundings()
    )
    metadata = {
        "labels": pod_labels(context.name, pod.component),
        "annotations": {"kubectl.kubernetes.io/default-container": CONTAINER, **pod.annotations},
    }
    command = {"name": CONTAINER, "command": ["featureplane"], "args": list(pod.args)}
    container = {
        **command,
        **_container(context, pod, inside),
        "env": [*inside.env, *pod.env],
        **_offline_secret(context, pod),
        **pod.container,
    }
    spec = {
        "serviceAccountName": pod.service_account,
        "automountServiceAccountToken": False,
        # A Service named featureplane-redis would set FEATUREPLANE_REDIS_PORT.
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": 30,
        "restartPolicy": pod.restart_policy,
        **({"imagePullSecrets": [{"name": name} for name in pull]} if (pull := context.image_pull_secrets) else {}),
        "initContainers": [{**_INIT, **_container(context, pod, around + registry(context))}],
        "containers": [container],
        "volumes": inside.volumes,
        **pod.spec,
    }
    kept = {
        "metadata": {"labels": metadata["labels"], "annotations": pod.annotations},
        "spec": {"containers": [command], "restartPolicy": pod.restart_policy},
    }
    return merge(merge({"metadata": metadata, "spec": spec}, context.project.spec.pod_template), kept)


# Feast's processes find their repo in the working directory: an emptyDir, for Feast cannot import from a ConfigMap.
_INIT = {
    "name": "init-repo",
    "command": ["featureplane"],
    "args": ["render", "--registered", "--out", REPO, PROJECT_FILE],
}


def _container(context: Context, pod: Pod, inside: Surroundings) -> dict[str, Any]:
    """What both containers have; as much CPU and memory for each, for they run one after the other."""
    return {
        "image": context.image,
        "imagePullPolicy": context.image_pull_policy,
        "workingDir": REPO,
        "env": inside.env,
        "volumeMounts": inside.mounts,
        "resources": pod.resources.model_dump(mode="json", exclude_defaults=True),
        "securityContext": CONTAINER_SECURITY,
    }


def _config(context: Context) -> Surroundings:
    return Surroundings(
        [],
        [{"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True}],
        [{"name": "config", "configMap": {"name": names.repo(context.name)}}],
    )


def _data(context: Context) -> Surroundings:
    """The volume with the sources, which nobody writes to, or where the object store is that has them."""
    root = context.project.spec.offline_store.data_root
    if root is None or root.persistent_volume_claim is None:
        found = object_store(context.project).environment()
        return Surroundings([plain(name, value) for name, value in found.items()])
    claim = {"claimName": root.persistent_volume_claim, "readOnly": True}
    return Surroundings(
        [],
        [{"name": "data", "mountPath": root.mount_path, "readOnly": True}],
        [{"name": "data", "persistentVolumeClaim": claim}],
    )


def _offline_secret(context: Context, pod: Pod) -> dict[str, Any]:
    """Whatever the offline store needs, by names of its own; of two variables with one name the registry's wins."""
    reference = context.project.spec.offline_store.secret_ref
    return {"envFrom": [{"secretRef": {"name": reference.name}}]} if pod.reads_sources and reference else {}
