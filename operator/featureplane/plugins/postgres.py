"""Feast's PostgreSQL offline store with its address taken from the environment.

Feast's configuration wants host, user and password in feature_store.yaml. Here they are FEATUREPLANE_OFFLINE_PGHOST and
its kin, or, where none is set, libpq's PG* variables: the database of the registry.
"""

from typing import Any, Literal

from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
)
from pydantic import model_validator

from featureplane.settings import Settings


class EnvironmentPostgreSQLOfflineStoreConfig(PostgreSQLOfflineStoreConfig):  # type: ignore[misc]
    """Feast's configuration under our class path, filled in from the environment."""

    type: Literal["featureplane.plugins.postgres.EnvironmentPostgreSQLOfflineStore"] = (
        "featureplane.plugins.postgres.EnvironmentPostgreSQLOfflineStore"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        keywords = Settings.from_env().offline.keywords
        address = {
            "host": keywords.get("host", "localhost"),
            "port": int(keywords.get("port", "5432")),
            "database": keywords.get("dbname", "postgres"),
            "user": keywords.get("user", "postgres"),
            "password": keywords.get("password", ""),
            "sslmode": keywords.get("sslmode", "prefer"),
            "sslrootcert_path": keywords.get("sslrootcert"),
            "sslcert_path": keywords.get("sslcert"),
            "sslkey_path": keywords.get("sslkey"),
        }
        return {**values, **address}


class EnvironmentPostgreSQLOfflineStore(PostgreSQLOfflineStore):  # type: ignore[misc]
    """Feast's store, unchanged."""
