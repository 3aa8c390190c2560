"""ConfigMaps: what the project's pods read, and what a notebook's Feast reads. No password in either."""

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.client import client_feature_store
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.repo import render
from featureplane.rendering.yaml_text import to_yaml


def config_maps(context: Context) -> list[Manifest]:
    for_pods = {
        names.PROJECT_FILE: to_yaml(project_object(context.project)),
        names.FEATURE_STORE_FILE: render(context.project, ())[names.FEATURE_STORE_FILE],
    }
    for_notebooks = {names.FEATURE_STORE_FILE: client_feature_store(context.project)}
    return [
        {**child(context, "ConfigMap", name, Component.CONFIGURATION), "data": data}
        for name, data in ((names.repo(context.name), for_pods), (names.client(context.name), for_notebooks))
    ]


def project_object(project: FeastProject) -> Manifest:
    """The FeastProject as its user could apply it; pods parse it with the model that it came from.

    Defaults are left out: a pod of the release before, which does not know a new field, reads it all the same.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.FEAST_PROJECT,
        "metadata": {"name": project.metadata.name, "namespace": project.metadata.namespace},
        "spec": project.spec.model_dump(mode="json", exclude_defaults=True),
    }
