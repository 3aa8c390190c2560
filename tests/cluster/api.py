"""The Kubernetes API for a test: plain dicts in, plain dicts out."""

import ssl
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import yaml

from patience import PATIENCE

Object = dict[str, Any]
_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}


class Missing(AssertionError):
    """The object is not there."""


class Api:
    """One user of one cluster. Every method raises AssertionError with the API server's words when it is refused."""

    def __init__(self, kubeconfig: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        data = cluster.get("certificate-authority-data")
        authority = b64decode(data).decode() if data else Path(cluster["certificate-authority"]).read_text()
        context = ssl.create_default_context(cadata=authority)
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.http = httpx.Client(base_url=cluster["server"], verify=context, headers=headers, timeout=PATIENCE)

    def create(self, body: Object, namespace: str | None = None) -> Object:
        return self._ask("POST", path(body, namespace, named=False), json=body)

    def try_out(self, body: Object, namespace: str) -> Object:
        """What creating it would say; nothing is made."""
        where = path(body, namespace, named=False)
        return self._ask("POST", where, json=body, params={"dryRun": "All"})

    def apply(self, body: Object, namespace: str | None = None, manager: str = "kubectl") -> Object:
        """As `kubectl apply --server-side` does."""
        return self._ask(
            "PATCH", path(body, namespace), json=body, params={"fieldManager": manager, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
        )  # fmt: skip

    def patch(self, body: Object, change: Object, namespace: str | None = None, subresource: str = "") -> Object:
        """A merge patch."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._ask("PATCH", path(body, namespace) + subresource, json=change, headers=headers)

    def get(self, body: Object, namespace: str | None = None) -> Object | None:
        try:
            return self._ask("GET", path(body, namespace))
        except Missing:
            return None

    def list(self, api_version: str, kind: str, namespace: str | None, selector: str = "") -> list[Object]:
        body = {"apiVersion": api_version, "kind": kind, "metadata": {}}
        params = {"labelSelector": selector} if selector else {}
        return list(self._ask("GET", path(body, namespace, named=False), params=params)["items"])

    def delete(self, body: Object, namespace: str | None = None) -> None:
        self._ask("DELETE", path(body, namespace))

    def delete_all(self, api_version: str, kind: str, namespace: str) -> None:
        self._ask("DELETE", path({"apiVersion": api_version, "kind": kind, "metadata": {}}, namespace, named=False))

    def _ask(self, verb: str, where: str, **options: Any) -> Object:
        answer = self.http.request(verb, where, **options)
        if answer.status_code == 404:
            raise Missing(f"{verb} {where}: {answer.text[:300]}")
        assert answer.is_success, f"{verb} {where}: {answer.status_code} {answer.text[:600]}"
        return dict(answer.json())


def path(body: Object, namespace: str | None = None, *, named: bool = True) -> str:
    version, kind = body["apiVersion"], body["kind"]
    namespace = namespace or body["metadata"].get("namespace")
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    where = f"/namespaces/{namespace}" if namespace and kind != "Namespace" else ""
    name = f"/{body['metadata']['name']}" if named else ""
    return f"{root}{where}/{_PLURALS.get(kind, kind.lower() + 's')}{name}"


def condition(body: Object | None, kind: str) -> tuple[str, str]:
    """Status and reason of a condition, empty where there is none."""
    for item in (body or {}).get("status", {}).get("conditions") or []:
        if item["type"] == kind:
            return item["status"], item["reason"]
    return "", ""


def message(body: Object, kind: str) -> str:
    return next(item["message"] for item in body["status"]["conditions"] if item["type"] == kind)
