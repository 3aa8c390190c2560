"""Feast's history of a view's versions, where it stands in the way of the view.

Feast deletes it with the view. Who deletes a view's row by hand leaves it behind, and the view can't be registered
again: its first version would have the key of the old one's (`apply_feature_view` of feast/infra/registry/sql.py).
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, String, column, delete, select, table


def forget_lost(connection: Connection, project: str, views: Collection[str]) -> None:
    """Delete what is left of those of the views that have no row any more, as Feast would have. Its tables must be
    there.
    """
    rows, history = _table("feature_views"), _table("feature_view_version_history")
    there = select(rows.c.feature_view_name).where(rows.c.project_id == project, rows.c.feature_view_name.in_(views))
    connection.execute(
        delete(history).where(
            history.c.project_id == project,
            history.c.feature_view_name.in_(views),
            history.c.feature_view_name.not_in(there),
        )
    )


def _table(name: str) -> Any:
    return table(name, column("feature_view_name", String), column("project_id", String))
