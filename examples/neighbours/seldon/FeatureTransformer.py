"""A transformer of Seldon Core: entities in, the features of a service out, in the order that the model was trained on.

Seldon finds the class by the name of this file:

    seldon-core-microservice FeatureTransformer --service-type TRANSFORMER
"""

import httpx
import numpy as np
from seldon_core.flask_utils import SeldonMicroserviceException

# What feast-server answers when the same request may succeed later.
PASSING = {429, 502, 503, 504}


class FeatureTransformer:
    """The parameters are those of the graph in seldon-deployment.yaml."""

    def __init__(self, url: str, service: str, join_key: str, timeout: float = 1.0) -> None:
        self._client = httpx.Client(base_url=url, timeout=timeout)
        self._service = service
        self._join_key = join_key
        self._names: list[str] = []

    def class_names(self) -> list[str]:
        """The names of the answer's columns, which Seldon calls so for transformers too: here the features."""
        return self._names

    def transform_input(self, entities: np.ndarray, names: list[str], meta: dict | None = None) -> np.ndarray:  # noqa: ARG002 - Seldon's signature
        """Shape (entities,) or (entities, 1) to (entities, features)."""
        keys = [str(key) for key in np.asarray(entities).ravel()]
        answer = self._asked(keys)
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        columns.pop(self._join_key)
        if missing := [key for number, key in enumerate(keys) if not _is_whole(columns, number)]:
            raise SeldonMicroserviceException(
                f"no features that a prediction can be made of for {self._join_key} {', '.join(missing)}",
                status_code=404, reason="FEATURES_MISSING",
            )  # fmt: skip
        self._names = list(columns)
        return np.array([column["values"] for column in columns.values()], dtype=float).T

    def health_status(self) -> str:
        """Of this process alone: one that ends when feast-server is away helps nobody."""
        return "ok"

    def _asked(self, keys: list[str]) -> dict:
        body = {"feature_service": self._service, "entities": {self._join_key: keys}}
        try:
            answer = self._client.post("/get-online-features", json=body)
        except httpx.TransportError as error:
            raise _unavailable(f"feast-server did not answer ({type(error).__name__})") from error
        if answer.status_code in PASSING:
            raise _unavailable(f"feast-server says {answer.status_code}")
        if answer.is_error:
            raise SeldonMicroserviceException(
                f"feast-server says {answer.status_code}: {answer.text[:500]}", 502, reason="FEATURES_REFUSED"
            )
        return answer.json()


def _unavailable(message: str) -> SeldonMicroserviceException:
    return SeldonMicroserviceException(message, 503, reason="FEATURES_UNAVAILABLE")


def _is_whole(columns: dict[str, dict], number: int) -> bool:
    """Whether this entity has every feature, and none is past its view's ttl."""
    return all(
        column["statuses"][number] == "PRESENT" and column["values"][number] is not None for column in columns.values()
    )
