"""Why a request is not answered, in the form in which Feast's server says it, so that its SDK raises its own errors."""

from collections.abc import Container
from typing import Any


class Refused(Exception):
    """A request that is wrong. `status` is HTTP's; `kind` is the class of Feast's errors, where it has one for this."""

    def __init__(self, message: str, status: int = 422, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def body(self, request_id: str) -> Any:
        """What JSON says of it (feast/errors.py, `FeastError.to_error_detail`: text that is JSON itself)."""
        detail = {"message": str(self), "request_id": request_id}
        return {"module": "feast.errors", "class": self.kind, **detail} if self.kind else detail


class ForFeast(Exception):
    """Nothing wrong, but for Feast's own server to answer."""


def no_view(name: str, project: str, known: Container[str]) -> Refused:
    """`known` are names of which one may be meant."""
    return _absent("view", "FeatureViewNotFoundException", name, project, known)


def no_service(name: str, project: str, known: Container[str]) -> Refused:
    return _absent("service", "FeatureServiceNotFoundException", name, project, known)


def _absent(what: str, kind: str, name: str, project: str, known: Container[str]) -> Refused:
    # An object of Kubernetes is called driver-stats, and registered as driver_stats.
    meant = name.replace("-", "_")
    instead = f"; write {meant}" if meant in known else ""
    return Refused(f"Feature {what} {name} does not exist in project {project}{instead}", 404, kind)
