"""Feast's Spark engine with the session that the project asks for.

    batch_engine:
      type: featureplane.plugins.spark.SparkEngine

Feast 0.67 starts the session from its engine's configuration as a whole, so that no `spark_conf` in it is read, and
then reads through that session without a look at the offline store's: no catalog would be known. It writes event times
into SQL as texts in UTC, which a session with another time zone would take for others. And a catalog may show a table
as it was when the session last read it (Iceberg's `cache-enabled`), so that a second run would miss what came since.
"""

from typing import Any, Literal

from feast.infra.compute_engines.spark.compute import SparkComputeEngine, SparkComputeEngineConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from featureplane.materialization.spark_session import explained, session_of


class SparkEngineConfig(SparkComputeEngineConfig):  # type: ignore[misc]
    """Feast's configuration under our class path."""

    type: Literal["featureplane.plugins.spark.SparkEngine"] = "featureplane.plugins.spark.SparkEngine"


class SparkEngine(SparkComputeEngine):  # type: ignore[misc]
    """See the module. Rows are written by Spark's Python workers, as a rule on other machines, and nobody counts."""

    def _materialize_one(self, registry: Any, task: Any, **options: Any) -> Any:
        try:
            job = super()._materialize_one(registry, task, **options)
        except PySparkException as error:  # no session
            raise explained(error) from error
        why = job.error()
        if isinstance(why, PySparkException):
            job._error = explained(why)  # noqa: SLF001 - a job of Feast's is made with its error
        return job

    def _get_feature_view_spark_session(self, feature_view: Any) -> SparkSession:
        own = self._get_feature_view_engine_config(feature_view).get("spark_conf")
        stores = getattr(self.repo_config.offline_store, "spark_conf", None)
        session = session_of({**(stores or {}), **(own or {})})
        source = feature_view.batch_source
        if isinstance(source, SparkSource) and source.table:
            session.sql(f"REFRESH TABLE {source.get_table_query_string()}")
        return session
