"""Feast's Spark engine with the session that the project asks for.

    batch_engine:
      type: featureplane.plugins.spark.SparkEngine

Feast 0.67 starts the session from its engine's configuration as a whole, so that no `spark_conf` in it is read, and
then reads through that session without a look at the offline store's: no catalog would be known. It writes event times
into SQL as texts in UTC, which a session with another time zone would take for others. And a catalog may show a table
as it was when the session last read it (Iceberg's `cache-enabled`), so that a second run would miss what came since.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

from feast.infra.compute_engines.spark.compute import SparkComputeEngine, SparkComputeEngineConfig
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from pyspark import SparkConf
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from featureplane.errors import FeatureplaneError
from featureplane.rendering.repo import SPARK_TIME_ZONE

_REMEDIES: Final[Mapping[str, str]] = {
    "JAVA_GATEWAY_EXITED": "Spark needs Java 17 or later on the PATH, or JAVA_HOME",
    "TABLE_OR_VIEW_NOT_FOUND": "correct spec.source.spark.table",
    "REQUIRES_SINGLE_PART_NAMESPACE": "the FeastProject's spark_conf lacks the catalog in spec.source.spark.table",
    "UNRESOLVED_COLUMN": "correct the names of features and columns, or spec.source.fieldMapping",
}


class SparkEngineConfig(SparkComputeEngineConfig):  # type: ignore[misc]
    """Feast's configuration under our class path."""

    type: Literal["featureplane.plugins.spark.SparkEngine"] = "featureplane.plugins.spark.SparkEngine"


class SparkEngine(SparkComputeEngine):  # type: ignore[misc]
    """See the module. Rows are written by Spark's Python workers, as a rule on other machines, and nobody counts."""

    def _materialize_one(self, registry: Any, task: Any, **options: Any) -> Any:
        try:
            job = super()._materialize_one(registry, task, **options)
        except PySparkException as error:  # no session
            raise _explained(error) from error
        why = job.error()
        if isinstance(why, PySparkException):
            job._error = _explained(why)  # noqa: SLF001 - a job of Feast's is made with its error
        return job

    def _get_feature_view_spark_session(self, feature_view: Any) -> SparkSession:
        own = self._get_feature_view_engine_config(feature_view).get("spark_conf")
        stores = getattr(self.repo_config.offline_store, "spark_conf", None)
        session = _session({**(stores or {}), **(own or {})})
        source = feature_view.batch_source
        if isinstance(source, SparkSource) and source.table:
            session.sql(f"REFRESH TABLE {source.get_table_query_string()}")
        return session


def _session(options: Mapping[str, str]) -> SparkSession:
    session = SparkSession.getActiveSession()
    if session is None:
        if options.get("spark.master", "local").startswith("local"):
            # Its workers run here, and want the packages that are here.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        session = SparkSession.builder.config(conf=SparkConf().setAll(list(options.items()))).getOrCreate()
    for name, value in {**SPARK_TIME_ZONE, "spark.sql.execution.arrow.pyspark.enabled": "true"}.items():
        session.conf.set(name, value)
    return session


def _explained(error: PySparkException) -> FeatureplaneError:
    """The error without the plan or the Java stack below it; of a Python worker's traceback its last line."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = lines[-1] if any(line.startswith("Traceback") for line in lines) else lines[0]
    condition = (error.getCondition() or "").partition(".")[0]
    remedy = _REMEDIES.get(condition)
    return FeatureplaneError(f"Spark: {said.strip().removesuffix('.')}" + (f"; {remedy}" if remedy else ""))
