"""Asks feast-server for the features of one service, many entities in one request.

    features = Features(client, "price_forecast_v1", "commodity_code")
    rows = await features.of(["gold", "corn"])

An entity that has no features is a row that says so. What concerns the whole request is an exception: Unavailable,
which passes by itself, or Refused, which somebody has to mend.
"""

from typing import Any, NamedTuple

import httpx

# What feast-server and a proxy before it answer when the same request may succeed later.
PASSING = {429, 502, 503, 504}


class Unavailable(Exception):
    """No answer in time, or one that says: later. `retry_after` is the header to pass on to who asked us."""

    def __init__(self, message: str, retry_after: str = "1") -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Exception):
    """feast-server does not take the request as it is: no such service, not allowed, too many entities."""


class Row(NamedTuple):
    """The features of one entity. `status` is PRESENT when all of them are, else the first other one."""

    status: str
    values: dict[str, Any]


class Features:
    """A feature service. `client` has feast-server's address, a timeout and, where it wants one, a token."""

    def __init__(self, client: httpx.AsyncClient, service: str, join_key: str) -> None:
        self._client = client
        self._service = service
        self._join_key = join_key

    async def of(self, entities: list[str]) -> list[Row]:
        """A row for each entity, in this order. Raises Unavailable, Refused."""
        body = {"feature_service": self._service, "entities": {self._join_key: entities}}
        try:
            answer = await self._client.post("/get-online-features", json=body)
        except httpx.TransportError as error:
            raise Unavailable(f"feast-server did not answer ({type(error).__name__})") from error
        if answer.status_code in PASSING:
            raise Unavailable(f"feast-server says {answer.status_code}", answer.headers.get("Retry-After", "1"))
        if answer.is_error:
            raise Refused(f"feast-server says {answer.status_code}: {answer.text[:500]}")
        return self._rows(answer.json(), len(entities))

    def _rows(self, answer: dict[str, Any], count: int) -> list[Row]:
        """The answer has a column for each feature; a model wants rows."""
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
        columns.pop(self._join_key)
        rows = []
        for number in range(count):
            statuses = [column["statuses"][number] for column in columns.values()]
            worst = next((status for status in statuses if status != "PRESENT"), "PRESENT")
            rows.append(Row(worst, {name: column["values"][number] for name, column in columns.items()}))
        return rows
