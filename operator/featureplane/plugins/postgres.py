"""Feast's PostgreSQL offline store with its address taken from the environment.

Feast's configuration wants host, user and password in feature_store.yaml. Here they are FEATUREPLANE_OFFLINE_PGHOST and
its kin, or, where none is set, libpq's PG* variables: the database of the registry.
"""

from typing import Any, Literal

from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
    PostgreSQLRetrievalJob,
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
    """Feast's store with point-in-time joins of our own, see `historical`; SQL in place of a frame is for Feast's."""

    @staticmethod
    def get_historical_features(**arguments: Any) -> Any:
        # Most processes of Feast's make an offline store and never ask it for training data.
        from featureplane.plugins.historical import can_join, historical_job
        from featureplane.plugins.views import postgres_of

        config = arguments["config"]
        if not can_join(arguments):
            return PostgreSQLOfflineStore.get_historical_features(**arguments)

        def persist(job: Any, storage: Any, allow_overwrite: bool | None) -> None:  # noqa: FBT001 - Feast's
            own = PostgreSQLRetrievalJob("", config, job.full_feature_names)
            own.to_df = job.to_df
            own.persist(storage, allow_overwrite)

        return historical_job(arguments, lambda: postgres_of(config.offline_store), persist)
