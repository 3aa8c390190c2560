"""kopf, set up so that a watch that goes silent is noticed and nothing is written that we did not decide to write."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import kopf

from featureplane import names
from featureplane.controller.children import RESOURCES

_SERVER_SECONDS = 300
# The API server ends a watch after the first; after the second nobody is there any more.
_CLIENT_SECONDS = 360


class _ForEver:
    """Pauses between attempts without an end: an API server that is away for an hour must not end the operator."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5)
        yield from repeat(10)


class _NothingKept(kopf.DiffBaseStorage):
    """kopf copies each object, and that again, to tell handlers what changed in it; ours are told of events alone."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> kopf.BodyEssence:  # noqa: ARG002
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        pass

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def kopf_settings() -> kopf.OperatorSettings:
    """Settings for `kopf.operator`."""
    settings = kopf.OperatorSettings()
    settings.watching.server_timeout = _SERVER_SECONDS
    settings.watching.client_timeout = _CLIENT_SECONDS
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    for resource in RESOURCES.values():
        # Without it kopf would watch every ConfigMap and Deployment there is.
        settings.watching.label_selectors[resource.plural] = f"{names.LABEL_PROJECT}"
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = _ForEver()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NothingKept()
    # A worker for each object lives on for this long: five thousand of them need not.
    settings.queueing.idle_timeout = 0.2
    return settings
