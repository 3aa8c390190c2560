"""The only door to the Kubernetes API, beside the watches that kopf keeps: apply, status, finalizers, list, delete.

Everything is written by server-side apply under one field manager with force, so there is no branch for what exists
already and none for conflicts. Whatever the API server answers becomes a `ClusterError`.
"""

import json
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from featureplane import names
from featureplane.controller.metrics import API_REQUESTS
from featureplane.errors import ClusterError, ClusterUnavailable
from featureplane.settings import OperatorSettings

Object = Mapping[str, Any]

_PATIENCE_SECONDS = 30
_CONNECTIONS = 16
_PAGE = 500
_TOO_BUSY = 429
_ATTEMPTS = 8
_LATER = frozenset({409, _TOO_BUSY, 500, 502, 503, 504})
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Resource:
    """A kind as the API's paths name it."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root, *(["namespaces", namespace] if namespace else []), self.plural, name, subresource]
        return "/".join(quote(part, safe="/") if part is root else quote(part) for part in parts if part)


FEATURE_VIEW = Resource(names.API_VERSION, names.FEATURE_VIEW, "featureviews")
FEAST_PROJECT = Resource(names.API_VERSION, names.FEAST_PROJECT, "feastprojects")
FEATURE_SERVICE = Resource(names.API_VERSION, names.FEATURE_SERVICE, "featureservices")
DECLARED = (FEAST_PROJECT, FEATURE_VIEW, FEATURE_SERVICE)
_SECRET = Resource("v1", "Secret", "secrets")
_NAMESPACE = Resource("v1", "Namespace", "namespaces")
_EVENT = Resource("v1", "Event", "events")


@dataclass(frozen=True)
class Secret:
    """A Secret's version and values; its text shows neither."""

    resource_version: str
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Secret({self.resource_version}, {sorted(self.values)})"


@dataclass
class Cluster:
    """The Kubernetes API, asked asynchronously; every method raises ClusterError for what it refuses."""

    api: ApiClient
    namespace: str

    async def apply(self, resource: Resource, manifest: Object) -> dict[str, Any]:
        """Make the object what the manifest says, as far as it says something; returns what is there now."""
        metadata = manifest["metadata"]
        return await self._apply(resource, resource.path(metadata.get("namespace"), metadata["name"]), manifest)

    async def apply_status(self, resource: Resource, namespace: str, name: str, status: Object) -> None:
        """Write the status as a whole. An object that is gone raises ClusterError with status 404."""
        body = {**_head(resource, namespace, name), "status": status}
        await self._apply(resource, resource.path(namespace, name, "status"), body)

    async def hold(self, resource: Resource, namespace: str, name: str, uid: str, *, held: bool) -> None:
        """Put our finalizer on the object, or take it off: nobody else's is touched, and nothing is created.

        `uid` makes the API server refuse an object of the same name that is another one by now.
        """
        body = _head(resource, namespace, name)
        body["metadata"] |= {"uid": uid, "finalizers": [names.FINALIZER] if held else []}
        await self._apply(resource, resource.path(namespace, name), body)

    async def change(
        self, resource: Resource, namespace: str | None, name: str, change: Object, subresource: str = ""
    ) -> dict[str, Any]:
        """A merge patch, for what apply cannot say: that somebody else's field is to go, and no other."""
        path = resource.path(namespace, name, subresource)
        return await self._ask("PATCH", path, body=change, content="application/merge-patch+json")

    async def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete the object and what it owns; it may be gone already."""
        try:
            await self._ask("DELETE", resource.path(namespace, name), body={"propagationPolicy": "Background"})
        except ClusterError as error:
            if error.status != 404:  # noqa: PLR2004
                raise

    async def secret(self, namespace: str, name: str) -> Secret | None:
        """One Secret with its values decoded, or None where there is none of that name."""
        found = await self._found(_SECRET.path(namespace, name))
        if found is None:
            return None
        data = found.get("data") or {}
        values = {key: b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
        return Secret(found["metadata"]["resourceVersion"], values)

    async def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is on its way out, or gone."""
        found = await self._found(_NAMESPACE.path(None, namespace))
        return found is None or bool(found["metadata"].get("deletionTimestamp"))

    async def read(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any] | None:
        """The object, or None where there is none."""
        return await self._found(resource.path(namespace, name))

    async def count(self, resource: Resource, namespace: str | None) -> int:
        """How many objects there are, without fetching them."""
        page = await self._ask("GET", resource.path(namespace), query={"limit": "1"})
        return len(page["items"] or ()) + int(page["metadata"].get("remainingItemCount", 0))

    async def metadata(
        self, resource: Resource, namespace: str | None, selector: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """The metadata of every object, page by page."""
        query = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = await self._ask("GET", resource.path(namespace), query=query, accept=_METADATA_ONLY)
            for item in page["items"] or ():
                yield item["metadata"]
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    async def emit(self, regarding: Object, kind: str, reason: str, message: str) -> None:
        """Record an Event (Normal or Warning) about an object given as an ObjectReference."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        namespace = regarding["namespace"]
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{regarding['name'][:220]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": regarding,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": names.FIELD_MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._ask("POST", _EVENT.path(namespace), body=body)

    async def _apply(self, resource: Resource, path: str, body: Object) -> dict[str, Any]:
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._ask("PATCH", path, query=query, body=whole, content="application/apply-patch+yaml")

    async def _found(self, path: str) -> dict[str, Any] | None:
        try:
            return await self._ask("GET", path)
        except ClusterError as error:
            if error.status == 404:  # noqa: PLR2004
                return None
            raise

    async def _ask(self, verb: str, path: str, **options: Any) -> dict[str, Any]:
        """One request, repeated while the API server says that it is too busy (429)."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, ClusterError) and error.status == _TOO_BUSY),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            reraise=True,
        )
        return await retrying(self._ask_once, verb, path, **options)

    async def _ask_once(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        url = path + ("?" + urlencode(query) if query else "")
        status = 0
        try:
            method, whole, headers, data, _ = await self.api.param_serialize(
                verb, url, header_params={"Accept": accept, "Content-Type": content}, body=body,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            answer = await self.api.call_api(method, whole, headers, data, _request_timeout=_PATIENCE_SECONDS)
            text = await answer.read()
            status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterUnavailable(f"the Kubernetes API does not answer: {type(error).__name__}") from error
        except ApiException as error:
            status = int(error.status or 0)
            raise _refusal(verb, path, status, str(error.reason)) from error
        finally:
            API_REQUESTS.labels(verb, _plural(path), str(status)).inc()
        if not 200 <= status < 300:  # noqa: PLR2004
            raise _refusal(verb, path, status, _words(text))
        return dict(json.loads(text))


def _head(resource: Resource, namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": namespace},
    }


def _words(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode("utf-8", "replace")


def _refusal(verb: str, path: str, status: int, words: str) -> ClusterError:
    # What does not fit the schema comes back from a server-side apply as 500, and will again.
    is_passing = (status in _LATER or status == 0) and "typed patch" not in words
    kind = ClusterUnavailable if is_passing else ClusterError
    return kind(f"{verb} {path}: {status} {words.strip()[:500]}", status)


def _plural(path: str) -> str:
    """What a path is about, for metrics: `featureviews`, `featureviews/status`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:  # noqa: PLR2004
        rest = rest[2:]
    return "/".join([rest[0], *rest[2:3]]) if rest else path


@asynccontextmanager
async def connected(settings: OperatorSettings) -> AsyncIterator[Cluster]:
    """The cluster that this pod runs in, or the one of KUBECONFIG."""
    configuration = Configuration()
    if settings.kubeconfig:
        await config.load_kube_config(str(settings.kubeconfig), client_configuration=configuration)
    else:
        config.load_incluster_config(configuration)
    configuration.connection_pool_maxsize = _CONNECTIONS
    async with ApiClient(configuration) as api:
        api.user_agent = names.FIELD_MANAGER
        yield Cluster(api, settings.namespace)
