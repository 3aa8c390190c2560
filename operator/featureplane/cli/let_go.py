"""`featureplane let-go`: what to run before an operator goes for good."""

import asyncio
from typing import Annotated

import typer

from featureplane.cli.console import counted, say
from featureplane.settings import OperatorSettings

_PATIENCE_SECONDS = 30.0


def let_go(
    operator: Annotated[
        str | None,
        typer.Option(help="Deployment of the operator in FEATUREPLANE_NAMESPACE: it is stopped first.", metavar="NAME"),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds that objects get which are being deleted, to leave the registry.", min=0)
    ] = _PATIENCE_SECONDS,
) -> None:
    """Take the operator's finalizer off every object.

    Each can then be deleted without an operator. Nothing leaves the registry or the online store.
    FEATUREPLANE_NAMESPACE and FEATUREPLANE_WATCH say which objects, as they do to the operator; KUBECONFIG names the
    cluster, else it is the one that this pod runs in.
    """
    settings = OperatorSettings.from_env()
    # The Kubernetes client takes a second to load: no other command needs it.
    from featureplane.controller import leaving
    from featureplane.controller.cluster import connected

    async def leave() -> int:
        async with connected(settings) as cluster:
            return await leaving.let_go(cluster, settings.watched, operator, patience)

    say(f"{counted(asyncio.run(leave()), 'object')} let go")
