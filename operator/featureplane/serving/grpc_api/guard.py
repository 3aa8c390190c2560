"""What gRPC calls ask of whoever comes, where the project wants to know who he is."""

from featureplane.serving.access.access import Access
from featureplane.serving.access.judge import Act
from featureplane.serving.http.asgi import Scope
from featureplane.serving.http.guard import authorization, peer

# Kubernetes' probes and load balancers come without a token.
_OPEN = "/grpc.health.v1.Health/"
# The last part of the names of calls that write.
_WRITES = frozenset({"Push", "WriteToOnlineStore"})


async def let_in(access: Access, scope: Scope) -> None:
    """Return where the call may be answered. Raises NotLetIn."""
    path = scope["path"]
    if not path.startswith(_OPEN):
        act: Act = "write" if path.rpartition("/")[2] in _WRITES else "read"
        await access.check(authorization(scope), act, peer(scope))
