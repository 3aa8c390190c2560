"""Feast's views and addresses of its stores as ours, for the classes that Feast loads."""

from typing import Any

from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import PostgreSQLOfflineStoreConfig

from featureplane.materialization.rows import View
from featureplane.registry.from_protos import convert
from featureplane.rendering.definitions import Definition
from featureplane.settings import PostgresAddress, Settings


def view_of(project: str, feature_view: Any) -> View:
    """A view as our readers take it; its source is of the type `feast` where they have no way to it."""
    batch_source = feature_view.batch_source
    source = convert("data_source", batch_source.to_proto())
    columns = {
        "timestamp_field": batch_source.timestamp_field,
        "created_timestamp_column": batch_source.created_timestamp_column or "",
        "field_mapping": dict(batch_source.field_mapping),
    }
    readable = isinstance(source, Definition) and source.spec["type"] in {"file", "postgres"}
    return View(
        project,
        feature_view.name,
        tuple(sorted((field.name, str(field.dtype)) for field in feature_view.entity_columns)),
        tuple((field.name, str(field.dtype)) for field in feature_view.features),
        {**source.spec, **columns} if readable and isinstance(source, Definition) else {"type": "feast", **columns},
        int(feature_view.ttl.total_seconds()) if feature_view.ttl else 0,
        takes_pushes=feature_view.stream_source is not None,
    )


def postgres_of(config: Any) -> PostgresAddress:
    """The PostgreSQL with source tables: what Feast's own store is configured with, or the environment's."""
    if type(config) is not PostgreSQLOfflineStoreConfig:
        return Settings.from_env().offline
    keywords = {
        "host": config.host, "port": config.port, "dbname": config.database, "user": config.user,
        "password": config.password, "sslmode": config.sslmode, "sslrootcert": config.sslrootcert_path,
        "sslcert": config.sslcert_path, "sslkey": config.sslkey_path,
        "options": f"-csearch_path={config.db_schema}" if config.db_schema else None,
    }  # fmt: skip
    return PostgresAddress({name: str(value) for name, value in keywords.items() if value})
