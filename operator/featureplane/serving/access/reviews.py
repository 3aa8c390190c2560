"""Kubernetes as the judge: a TokenReview says who holds a token, a SubjectAccessReview whether he may.

Two documents are sent, by aiohttp, which is here anyway: the official client would take 40 MB in each worker.
"""

import json
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp

from featureplane import names
from featureplane.serving.access.judge import Act, JudgeAway, Verdict
from featureplane.serving.files import signature
from featureplane.settings import InCluster

RESOURCE, SUBRESOURCE = "feastprojects", "features"
VERBS: dict[Act, str] = {"read": "get", "write": "update"}
_SECONDS = aiohttp.ClientTimeout(total=3)
# Reviews at once, of all tokens: strangers who guess must not keep the API server busy.
_AT_ONCE = 16
_WHY = {
    401: "the API server does not take the token of this server's own ServiceAccount",
    403: "this server's ServiceAccount may not ask for reviews; bind it to the ClusterRole system:auth-delegator",
}


class Reviews:
    """Asks the API server of the cluster about one FeastProject. `audiences`: none for the API server's own."""

    def __init__(self, cluster: InCluster, namespace: str, name: str, audiences: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._namespace, self._name = namespace, name
        self._audiences = list(audiences)
        self._session: aiohttp.ClientSession | None = None
        self._trusted: tuple[Any, ssl.SSLContext] | None = None

    async def judge(self, token: str, act: Act) -> Verdict:
        """Raises JudgeAway."""
        asked = {"token": token, **({"audiences": self._audiences} if self._audiences else {})}
        found = await self._review("authentication.k8s.io", "TokenReview", asked)
        if not found.get("authenticated"):
            return Verdict(401, "Kubernetes does not know the token, or it has expired")
        # An authenticator that knows no audiences leaves them out (TokenReview's documentation).
        if self._audiences and not set(self._audiences) & set(found.get("audiences") or ()):
            return Verdict(401, "the token is for another audience")
        user = found.get("user") or {}
        spec = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "resourceAttributes": {
                "group": names.GROUP,
                "resource": RESOURCE,
                "subresource": SUBRESOURCE,
                "namespace": self._namespace,
                "name": self._name,
                "verb": VERBS[act],
            },
        }
        if (await self._review("authorization.k8s.io", "SubjectAccessReview", spec)).get("allowed") is True:
            return Verdict()
        right = f"{VERBS[act]} {RESOURCE}.{names.GROUP}/{SUBRESOURCE} of {self._namespace}/{self._name}"
        return Verdict(403, f"the holder of this token may not {right}; a Role and a RoleBinding allow it")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _review(self, group: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        """The status of a review. Raises JudgeAway."""
        url = f"{self._cluster.url}/apis/{group}/v1/{kind.lower()}s"
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        try:
            # Read anew: the kubelet replaces the token long before it ends.
            own = {"Authorization": f"Bearer {self._cluster.token_file.read_text(encoding='ascii').strip()}"}
            context = self._context()
            async with self._opened().post(url, json=body, headers=own, ssl=context, allow_redirects=False) as answer:
                if answer.status not in {200, 201}:
                    raise JudgeAway(_WHY.get(answer.status, f"the API server answers a {kind} with {answer.status}"))
                status = json.loads(await answer.read()).get("status")
        except (aiohttp.ClientError, OSError, ValueError, AttributeError) as error:
            raise JudgeAway(f"the API server cannot be asked for a {kind} ({type(error).__name__})") from error
        return status if isinstance(status, dict) else {}

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_AT_ONCE)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_SECONDS)
        return self._session

    def _context(self) -> ssl.SSLContext:
        path = self._cluster.authority_file
        state = signature(path)
        if self._trusted is None or self._trusted[0] != state:
            self._trusted = state, ssl.create_default_context(cafile=str(path))
        return self._trusted[1]
