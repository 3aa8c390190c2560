"""A pod may be there before its registry is: the operator makes the database when it registers the first object."""

import time
from collections.abc import Callable

from sqlalchemy import inspect

from featureplane.errors import StoreUnavailable
from featureplane.registry import feast_rows
from featureplane.registry.database import begin_once, database_exists
from featureplane.settings import PostgresAddress

_TICK_SECONDS = 2.0
# Feast makes all of its tables in one transaction.
_ONE_OF_FEASTS = "feature_views"


def await_registry(address: PostgresAddress, say: Callable[[str], None]) -> None:
    """Return when the registry has Feast's tables, with or without rows, however long it takes.

    Feast would make the tables itself, from several pods at once and with a role that may not. What is waited for is
    said once, and again when it becomes something else; nothing listens meanwhile, so the pod is not ready.
    """
    said = ""
    while why := _missing(address):
        if why != said:
            say(f"{why}; waiting for it")
            said = why
        time.sleep(_TICK_SECONDS)


def nothing_registered(address: PostgresAddress, project: str) -> str:
    """That the project has no view yet, and which projects have, in words; nothing where it has one."""
    with begin_once(address) as connection:
        projects = feast_rows.projects(connection)
    if project in projects:
        return ""
    others = f"; those of {', '.join(projects)} are" if projects else ""
    return f"no feature view of the project {project!r} is registered at {address} yet{others}"


def _missing(address: PostgresAddress) -> str:
    """What is not there yet, in words; nothing when all is."""
    try:
        if not database_exists(address):
            return f"there is no registry at {address} yet"
        with begin_once(address) as connection:
            there = inspect(connection).has_table(_ONE_OF_FEASTS)
    except StoreUnavailable as error:
        return str(error)
    return "" if there else f"the registry at {address} has no tables yet"
