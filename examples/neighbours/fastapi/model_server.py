"""A model behind HTTP that reads its features from feast-server: `uvicorn model_server:app --port 8000`.

FEAST_SERVER_URL              http://localhost:8080
FEAST_SERVER_TOKEN            sent as a bearer token, where feast-server asks for one
FEATURE_TIMEOUT_SECONDS       1: feast-server itself gives up on Redis after 0.7 s and says when to ask again
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from features import Features, Refused, Row, Unavailable
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, Field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
FETCHING = Histogram("feature_fetch_latency_seconds", "Asking feast-server, however it ended", buckets=BUCKETS)
PREDICTING = Histogram("prediction_latency_seconds", "A request to /predict, features included", buckets=BUCKETS)
PREDICTIONS = Counter("predictions_total", "Entities asked about, by what came of it", ["outcome"])


class Question(BaseModel):
    commodities: Annotated[list[str], Field(min_length=1, max_length=1000)]


class Forecast(BaseModel):
    commodity: str
    outcome: str = Field(description="predicted, not_found, outside_max_age or incomplete")
    price_in_24h: float | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for all requests: its connections are kept open."""
    token = os.environ.get("FEAST_SERVER_TOKEN")
    service = os.environ.get("FEATURE_SERVICE", "price_forecast_v1")
    async with httpx.AsyncClient(
        base_url=os.environ.get("FEAST_SERVER_URL", "http://localhost:8080"),
        timeout=float(os.environ.get("FEATURE_TIMEOUT_SECONDS", "1")),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    ) as client:
        app.state.features = Features(client, service, "commodity_code")
        yield


app = FastAPI(title="Price forecast", lifespan=lifespan)


@app.post("/predict")
async def predict(question: Question, request: Request) -> list[Forecast]:
    names = question.commodities
    with PREDICTING.time():
        try:
            with FETCHING.time():
                rows = await request.app.state.features.of(names)
        except (Unavailable, Refused) as error:
            PREDICTIONS.labels(type(error).__name__.lower()).inc(len(names))
            raise
        forecasts = [forecast(name, row) for name, row in zip(names, rows, strict=True)]
    for each in forecasts:
        PREDICTIONS.labels(each.outcome).inc()
    return forecasts


def forecast(commodity: str, row: Row) -> Forecast:
    """No guess from features that are missing or old: who asks learns why, and has a fallback of his own."""
    if row.status != "PRESENT":
        return Forecast(commodity=commodity, outcome=row.status.lower(), price_in_24h=None)
    if None in row.values.values():
        return Forecast(commodity=commodity, outcome="incomplete", price_in_24h=None)
    return Forecast(commodity=commodity, outcome="predicted", price_in_24h=price_in_24h(row.values))


def price_in_24h(values: dict[str, Any]) -> float:
    """The model, here two lines: a third of the way back to the week's mean, and a tenth of yesterday's move again."""
    price = values["current_price"]
    return price + (values["ma_7d"] - price) / 3 + price * values["price_change_24h"] / 1000


@app.exception_handler(Unavailable)
async def later(_: Request, error: Unavailable) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": error.retry_after})


@app.exception_handler(Refused)
async def not_as_it_is(_: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 502)


@app.get("/health")
async def health() -> str:
    """Of this process alone: one that ends when feast-server is away helps nobody."""
    return "ok"


@app.get("/metrics")
async def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
