"""Rows of online stores as a client's push leaves them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from factories import project_model
from featureplane.entities.served import catalogue_of
from featureplane.entities.writing import write
from featureplane.settings import Stores


def push(stores: Stores, project: str, view: str, values: Mapping[str, Any], at: datetime) -> None:
    """Write one row by the server's own writer."""
    stores = Stores(stores.postgres.with_database("feast"), stores.redis)
    with catalogue_of(project_model(project=project), stores) as catalogue:
        outcome = write(stores, catalogue, view, {**values, "event_timestamp": at.isoformat()})
    assert outcome.written == 1
