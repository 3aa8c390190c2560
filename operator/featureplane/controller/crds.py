"""The CustomResourceDefinitions in a cluster, made or brought up to date: what Helm does not do after an install.

By server-side apply. A CRD's versions, with all that their schemas say, are one field to it (`listType=atomic`): what
an earlier release had and this one has not goes, whoever wrote it.
"""

from featureplane.controller.cluster import Cluster, Resource
from featureplane.model import crd

CRD = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions")


async def apply_crds(cluster: Cluster) -> list[str]:
    """Make the cluster's CRDs this release's; returns their names. Raises ClusterError."""
    wanted = [crd.manifest(resource) for resource in crd.RESOURCES]
    for manifest in wanted:
        await cluster.apply(CRD, manifest)
    return [manifest["metadata"]["name"] for manifest in wanted]
