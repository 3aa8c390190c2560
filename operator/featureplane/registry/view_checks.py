"""The checks of views in our own notes, and which of these changed. Feast knows nothing of them."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, String, cast, column, select

from featureplane.registry import tables

# A statement has at most 65,535 parameters; long before, reading everything is as fast.
_MOST_NAMES = 2000
_columns = tables.definitions.c


def versions(connection: Connection, project: str) -> dict[str, str]:
    """For each view that we have a note of, by name, what differs once that is written again."""
    query = select(_columns.name, cast(column("xmin"), String)).where(
        _columns.project == project, _columns.kind == "feature_view"
    )
    return {row.name: row[1] for row in connection.execute(query)}


def checks_of(connection: Connection, project: str, views: Collection[str]) -> dict[str, Any]:
    """The checks of those of these views that have any, by view and feature (see `model.checks.Checks`)."""
    query = select(_columns.name, _columns.body).where(
        _columns.project == project,
        _columns.kind == "feature_view",
        # Of thousands of views few have any, and then it stands in the JSON just so.
        _columns.body.contains('"checks":{"', autoescape=True),
    )
    if len(views) <= _MOST_NAMES:
        query = query.where(_columns.name.in_(views))
    return {name: json.loads(body)["extras"]["checks"] for name, body in connection.execute(query)}
