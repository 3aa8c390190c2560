"""`featureplane apply-crds`: the CustomResourceDefinitions of this release, into a cluster."""

import asyncio

from featureplane.cli.console import say
from featureplane.settings import OperatorSettings


def apply_crds() -> None:
    """Make or update the CustomResourceDefinitions.

    By server-side apply, into the cluster that KUBECONFIG names, else the one that this pod runs in. Objects of these
    kinds stay as they are.
    """
    settings = OperatorSettings.from_env()
    # The Kubernetes client takes a second to load: no other command needs it.
    from featureplane.controller import crds
    from featureplane.controller.cluster import connected

    async def apply() -> list[str]:
        async with connected(settings) as cluster:
            return await crds.apply_crds(cluster)

    for name in asyncio.run(apply()):
        say(f"{name} is up to date")
