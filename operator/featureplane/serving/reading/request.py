"""A request for online features, from JSON, as Feast's server takes it (feast/feature_server.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from featureplane.serving.reading.refusals import Refused

_MOST_SHOWN = 60


class Request(NamedTuple):
    """What is asked: a feature service or references, for entities as join key -> values."""

    entities: Mapping[str, Sequence[Any]]
    service: str = ""
    features: tuple[str, ...] = ()
    full_names: bool = False
    with_versions: bool = False


def from_json(body: bytes) -> Request:
    """Raises Refused, naming the field."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused('the body is no JSON object; write {"features": [...], "entities": {...}}')
    entities = found.get("entities")
    if not isinstance(entities, dict) or not entities:
        raise Refused('entities: write an object of lists, like {"driver_id": [1001, 1002]}')
    for name, values in entities.items():
        if not isinstance(values, list):
            raise Refused(f"entities.{name[:_MOST_SHOWN]}: write a list, with a value for each entity row")
    service = found.get("feature_service") or ""
    features = found.get("features") or []
    if not isinstance(service, str):
        raise Refused("feature_service: write its name")
    if not isinstance(features, list) or not set(map(type, features)) <= {str}:
        raise Refused('features: write a list of texts, like ["view:feature"]')
    return Request(
        entities,
        service,
        tuple(features),
        _flag(found, "full_feature_names"),
        _flag(found, "include_feature_view_version_metadata"),
    )


def _flag(found: Mapping[str, Any], name: str) -> bool:
    value = found.get(name, False)
    if not isinstance(value, bool):
        raise Refused(f"{name}: write true or false")
    return value
