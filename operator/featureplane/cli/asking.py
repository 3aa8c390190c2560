"""Asking a feature server: what it says of what can be asked for, and the request itself."""

import json
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from featureplane.cli.console import printable
from featureplane.cli.serve import client_of
from featureplane.errors import FeatureplaneError, StoreUnavailable

_SECONDS = 30.0
# OpenSSL's codes for an authority that is not among those that are trusted (X509_V_ERR_..., openssl/x509_vfy.h).
_NOT_KNOWN = {18, 19, 20, 21}
_REMEDY = "SSL_CERT_FILE or SSL_CERT_DIR names the authorities that are"


@dataclass(frozen=True)
class Described:
    """What a server says of some features: each as `view:feature`, the types of their join keys, and their own."""

    references: list[str]
    key_types: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)


def described(url: str, features: Sequence[str], service: str | None, token: str = "") -> Described:
    """What the server says of them. What it does not say is left as it is written, for the answer to judge: Feast's own
    server has no such route, and what only Feast's app answers is no more than a name. Raises as `ask` does.
    """
    response = _answer("GET", url, "status/views", token)
    with suppress(httpx.HTTPStatusError, ValueError, LookupError, TypeError):
        said = response.raise_for_status().json()
        views = {view["name"]: view for view in said["feature_views"]}
        services = {each["name"]: each for each in said["feature_services"]}
        if service:
            items = [services[service]] if service in services else []
            references = [name for item in items for name in item["features"]]
        else:
            items = [views[name] for name in (text.partition(":")[0] for text in features) if name in views]
            references = [each for text in features for each in _spelled(text, views)]
        keys = [key for item in items for key in item["join_keys"]]
        return Described(
            list(dict.fromkeys(references)), {key["name"]: key["type"] for key in keys}, _types(views, references)
        )
    return Described([] if service else list(dict.fromkeys(features)))


def _types(views: Mapping[str, Any], references: Sequence[str]) -> dict[str, str]:
    """The types of features, where the server says them: releases before this one do not."""
    found: dict[str, str] = {}
    for reference in references:
        view, _, name = reference.partition(":")
        said = dict(zip(views[view]["features"], views[view].get("types", ()), strict=False)) if view in views else {}
        found |= {reference: said[name]} if said.get(name) else {}
    return found


def _spelled(text: str, views: Mapping[str, Any]) -> list[str]:
    """A view's name alone is all of its features, in their order."""
    return [f"{text}:{name}" for name in views[text]["features"]] if text in views else [text]


def ask(url: str, request: Mapping[str, Any], token: str = "") -> Mapping[str, Any]:
    """POST a request in Feast's form. Raises StoreUnavailable without a server, FeatureplaneError when it refuses."""
    response = _answer("POST", url, "get-online-features", token, request)
    if not response.is_success:
        said = f"the server at {url} answered {response.status_code}: {_reason(response.text)}"
        if response.status_code == httpx.codes.UNAUTHORIZED:
            said += "; FEATUREPLANE_TOKEN is the token that is shown"
        raise FeatureplaneError(said)
    try:
        return dict(response.json())
    except (ValueError, TypeError) as error:
        raise FeatureplaneError(f"what answers at {url} is no feature server") from error


def _answer(method: str, url: str, route: str, token: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
    if not url.startswith(("http://", "https://")):
        raise FeatureplaneError(f"{url!r} is no URL of a server; write it like http://127.0.0.1:8080")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with client_of(url, _SECONDS) as client:
            return client.request(method, f"{url.rstrip('/')}/{route}", json=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if refused := _refused_certificate(error):
            remedy = f"; {_REMEDY}" if refused.verify_code in _NOT_KNOWN else ""
            raise FeatureplaneError(
                f"the certificate of the server at {url} is not trusted: {refused.verify_message}{remedy}"
            ) from error
        raise StoreUnavailable(f"no server answers at {url}: {error}") from error


def _refused_certificate(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The reason that lies behind an error, where it is the server's certificate."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _reason(text: str) -> str:
    """What a server's error says: the `message` of an object, which for errors of Feast's kinds is a text once more."""
    try:
        said = json.loads(text)
        said = json.loads(said) if isinstance(said, str) else said
    except ValueError:
        said = None
    words = (said.get("message") or said.get("detail")) if isinstance(said, dict) else None
    if not isinstance(words, str):
        return printable(text, 500)
    request = said.get("request_id")
    return printable(words, 500) + (f" (request {printable(request, 60)})" if isinstance(request, str) else "")
