"""Everything that a project has in the cluster, but for the Jobs that are made once."""

from featureplane.manifests.child import KINDS
from featureplane.manifests.config_map import config_maps
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.cron_job import cron_jobs
from featureplane.manifests.deployment import deployments
from featureplane.manifests.horizontal_pod_autoscaler import horizontal_pod_autoscalers
from featureplane.manifests.network_policy import network_policies
from featureplane.manifests.pod_disruption_budget import pod_disruption_budgets
from featureplane.manifests.service import services
from featureplane.manifests.service_account import service_accounts

__all__ = ["KINDS", "Manifest", "children"]

# In the order of application: what pods need comes before them.
_BUILDERS = (
    config_maps,
    service_accounts,
    network_policies,
    pod_disruption_budgets,
    services,
    deployments,
    cron_jobs,
    horizontal_pod_autoscalers,
)


def children(context: Context) -> list[Manifest]:
    """All that is wanted, in the order of application; what is not in here is to be deleted."""
    return [manifest for build in _BUILDERS for manifest in build(context)]
