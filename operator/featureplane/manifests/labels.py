"""The labels of children: the usual set on everything, and what users select pods and Jobs by."""

from enum import StrEnum

from featureplane import names

Labels = dict[str, str]

_NAME = "app.kubernetes.io/name"
_INSTANCE = "app.kubernetes.io/instance"
_COMPONENT = "app.kubernetes.io/component"
_PART_OF = "app.kubernetes.io/part-of"


class Component(StrEnum):
    """What a child is a part of."""

    CONFIGURATION = "configuration"
    SERVER = "server"
    REGISTRY = "registry"
    OFFLINE = "offline"
    MATERIALIZATION = "materialization"


# Short enough for a command line: `kubectl get pods -l app=feast-server`.
_OF_PODS: dict[Component, Labels] = {
    Component.SERVER: {"app": "feast-server"},
    Component.REGISTRY: {"app": "feast-registry"},
    Component.OFFLINE: {"app": "feast-offline"},
    Component.MATERIALIZATION: {"app": "feast", "component": "materialization-job"},
}


def labels(project: str, component: Component) -> Labels:
    """Of every child."""
    return {
        **selector(project, component),
        _PART_OF: "featureplane",
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_PROJECT: project,
    }


def selector(project: str, component: Component) -> Labels:
    """Finds the pods of one component. A Deployment's is immutable: do not change it."""
    return {_NAME: "feast", _INSTANCE: project, _COMPONENT: component.value}


def pod_labels(project: str, component: Component) -> Labels:
    return {**labels(project, component), **_OF_PODS[component]}


def job_labels(project: str) -> Labels:
    return {**labels(project, Component.MATERIALIZATION), "app": "feast", "component": "materialization"}
