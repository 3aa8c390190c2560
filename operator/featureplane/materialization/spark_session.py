"""The session of Spark's that a project asks for, and what Spark says when it fails, in a line."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from py4j.protocol import Py4JJavaError
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
# Of the session whatever the project says: our queries hold values that others wrote. Spark would put variables of the
# environment and of its configuration in place of `${env:NAME}` in them, and could read `\\` as two signs.
_OURS: Final[Mapping[str, str]] = {
    **SPARK_TIME_ZONE,
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.variable.substitute": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.parser.quotedRegexColumnNames": "false",
}


def session_of(options: Mapping[str, str]) -> SparkSession:
    """The active session, or a new one with these options; in UTC, and with texts in queries as they are."""
    session = SparkSession.getActiveSession()
    if session is None:
        if options.get("spark.master", "local").startswith("local"):
            # Its workers run here, and want the packages that are here.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        session = SparkSession.builder.config(conf=SparkConf().setAll(list(options.items()))).getOrCreate()
    for name, value in _OURS.items():
        session.conf.set(name, value)
    return session


def explained(error: Exception) -> FeatureplaneError:
    """The error without the plan or the Java stack below it; of a Python worker's traceback its last line."""
    said = _of_java(error) if isinstance(error, Py4JJavaError) else _of_python(error)
    condition = (error.getCondition() or "").partition(".")[0] if isinstance(error, PySparkException) else ""
    remedy = _REMEDIES.get(condition)
    return FeatureplaneError(f"Spark: {said.strip().removesuffix('.')}" + (f"; {remedy}" if remedy else ""))


def _of_python(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else lines[0]


def _of_java(error: Py4JJavaError) -> str:
    """What failed in a task: pyspark leaves it as Java has it while rows come."""
    cause = error.java_exception
    while (deeper := cause.getCause()) is not None:
        cause = deeper
    said = cause.getMessage() or cause.getClass().getName()
    head, *others = [line for line in str(said).splitlines() if line.strip()] or [cause.getClass().getName()]
    if head.startswith("Traceback"):
        return next((line for line in others if not line.startswith(" ")), head)
    return " ".join([head, *(line.strip() for line in others[:1])]) if head.endswith(":") else head
