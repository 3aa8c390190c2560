"""What a worker has to know of a project to let somebody in: its part of the request that it starts with."""

from typing import Any

from featureplane.model.feast_project import FeastProject


def described(project: FeastProject) -> dict[str, Any] | None:
    """JSON for `opening.open_access`; None where everybody may ask."""
    auth = project.spec.server.auth
    if auth.type == "kubernetes":
        audiences = auth.kubernetes.audiences if auth.kubernetes else ()
        namespace, name = project.key
        return {"type": auth.type, "namespace": namespace, "name": name, "audiences": list(audiences)}
    if auth.oidc is not None:
        own = auth.oidc
        return {
            "type": auth.type,
            "discovery": own.discovery,
            # A description that lies elsewhere may be one for tokens of several names.
            "called": "" if own.discovery_url else own.issuer,
            "authority_file": own.ca_file,
            "policy": {
                "issuer": own.issuer,
                "audience": own.audience,
                "client_id": own.client_id or "",
                "roles_claim": own.roles_claim,
                "readers": list(own.readers),
                "writers": list(own.writers),
            },
        }
    return None
