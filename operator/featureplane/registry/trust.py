"""Looking before Feast does: registry rows may hold Python, and Feast executes it wherever it loads them.

Whoever starts a process that imports Feast on a registry asks here first. A server reads the registry again and again
while it runs, so for it the look covers the start; write access to the registry is the boundary (docs/adr/0005).
"""

from featureplane.errors import UntrustedRegistry
from featureplane.model.feast_project import FeastProject
from featureplane.registry import catalogue
from featureplane.registry.database import begin_once
from featureplane.settings import PostgresAddress


def refuse_code(project: FeastProject, address: PostgresAddress) -> None:
    """Raises UntrustedRegistry where the registry holds code and the project does not trust it."""
    if project.spec.registry.trust_user_defined_functions:
        return
    with begin_once(address) as connection:
        found = catalogue.python_code(connection)
    if found:
        raise untrusted(address, found)


def untrusted(address: PostgresAddress, found: list[str]) -> UntrustedRegistry:
    """The error that names what was found and what to do."""
    return UntrustedRegistry(
        f"the registry at {address} holds Python that Feast would execute here: {', '.join(found[:5])}; "
        "remove it, or set registry.trustUserDefinedFunctions in the FeastProject"
    )
