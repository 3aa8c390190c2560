"""`featureplane operator`: the operator's process, as its Deployment runs it."""

from featureplane.settings import OperatorSettings


def operator() -> None:
    """Run the operator in a cluster.

    It serves FeastProjects, FeatureViews and FeatureServices of its own namespace, or of every one with
    FEATUREPLANE_WATCH=all. KUBECONFIG names the cluster, else the one that this pod runs in.
    """
    settings = OperatorSettings.from_env()
    # kopf and the Kubernetes client take a second to load: no other command needs them.
    from featureplane.controller.run import run

    run(settings)
