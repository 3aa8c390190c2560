"""What the HTTP routes ask of whoever comes, where the project wants to know who he is."""

from featureplane.serving.access.access import Access
from featureplane.serving.access.judge import Act
from featureplane.serving.http.asgi import Scope
from featureplane.serving.http.feast_routes import only_reads
from featureplane.serving.page.files import OPEN_PATHS

# What is got without a token. Probes come without one, and Prometheus mostly: /metrics names views and counts, and
# shows no value of theirs.
_OPEN = frozenset({"/health", "/ready", "/metrics"}) | OPEN_PATHS


async def let_in(access: Access, scope: Scope) -> None:
    """Return where the request may be answered. Raises NotLetIn."""
    if scope["method"] != "GET" or scope["path"] not in _OPEN:
        await access.check(authorization(scope), act_of(scope["method"], scope["path"]), peer(scope))


def act_of(method: str, path: str) -> Act:
    """What a request does."""
    return "read" if only_reads(method, path) else "write"


def authorization(scope: Scope) -> str:
    """The header; of two, Feast's app could look at the other one."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def peer(scope: Scope) -> str:
    """The address that a request comes from; empty where the server does not say."""
    return str((scope.get("client") or ("",))[0])
