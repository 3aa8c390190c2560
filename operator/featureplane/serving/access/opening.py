"""The judge that a project names. What the others need is not imported."""

from collections.abc import Mapping
from typing import Any

from featureplane.errors import FeatureplaneError
from featureplane.serving.access.access import Access
from featureplane.settings import InCluster


def open_access(description: Mapping[str, Any] | None, cluster: InCluster | None) -> Access | None:
    """By `described.described`; None where everybody may ask. Raises FeatureplaneError outside of a cluster."""
    if description is None:
        return None
    if description["type"] == "kubernetes":
        from featureplane.serving.access.reviews import Reviews

        if cluster is None:
            raise FeatureplaneError(
                "the project has server.auth.type kubernetes, and this is no pod of a cluster; choose another type here"
            )
        return Access(Reviews(cluster, description["namespace"], description["name"], description["audiences"]))
    from featureplane.serving.access.issuer_keys import IssuerKeys
    from featureplane.serving.access.oidc import Policy, Tokens

    said = description["policy"]
    policy = Policy(
        said["issuer"],
        said["audience"],
        said["client_id"],
        said["roles_claim"],
        frozenset(said["readers"]),
        frozenset(said["writers"]),
    )
    keys = IssuerKeys(description["discovery"], description["called"], description["authority_file"])
    return Access(Tokens(policy, keys))
