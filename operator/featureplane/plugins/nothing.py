"""An offline store that does nothing, for a process of Feast's that reads and writes no rows.

Feast makes one wherever it has a configuration, and its default one loads dask.
"""

from typing import Literal

from feast.infra.offline_stores.offline_store import OfflineStore
from feast.repo_config import FeastConfigBaseModel


class NothingOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Feast finds it by its name."""

    type: Literal["featureplane.plugins.nothing.NothingOfflineStore"] = (
        "featureplane.plugins.nothing.NothingOfflineStore"
    )


class NothingOfflineStore(OfflineStore):  # type: ignore[misc]
    """Nobody asks it anything."""
