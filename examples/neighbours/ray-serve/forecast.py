"""A deployment of Ray Serve that reads its features through Feast's SDK: `serve run forecast:app`.

FEAST_REPO      the folder of a feature_store.yaml: in a cluster where the ConfigMap feast-client is mounted
"""

import os
from typing import Any

import requests
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from feast import FeatureStore

SERVICE, KEY = "price_forecast_v1", "commodity_code"


# The SDK waits for the answer in this thread, so a replica takes one request at a time; more replicas take more.
@serve.deployment(num_replicas=1, max_ongoing_requests=1, max_queued_requests=100, ray_actor_options={"num_cpus": 0.5})
class Forecast:
    """The registry is read once, at the start, and every `cache_ttl_seconds` of feature_store.yaml."""

    def __init__(self, repo: str) -> None:
        self._store = FeatureStore(repo_path=repo)
        self._service = self._store.get_feature_service(SERVICE)

    def __call__(self, request: Request) -> JSONResponse:
        names = request.query_params.getlist("commodity")
        if not names:
            return JSONResponse({"detail": "name commodities: ?commodity=gold&commodity=corn"}, 422)
        try:
            rows = self._rows(names)
        except requests.RequestException:  # after connection_retries of feature_store.yaml, 3 by default
            return JSONResponse({"detail": "feast-server does not answer"}, 503, {"Retry-After": "1"})
        return JSONResponse({name: forecast(row) for name, row in rows})

    def _rows(self, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
        found = self._store.get_online_features(self._service, [{KEY: name} for name in names]).to_dict()
        columns = {feature: values for feature, values in found.items() if feature != KEY}
        return [(name, {key: values[at] for key, values in columns.items()}) for at, name in enumerate(names)]


def forecast(row: dict[str, Any]) -> float | None:
    """The model, here two lines; nothing is guessed for a commodity without features."""
    if None in row.values():
        return None
    price = row["current_price"]
    return price + (row["ma_7d"] - price) / 3 + price * row["price_change_24h"] / 1000


app = Forecast.bind(os.environ.get("FEAST_REPO", "."))
