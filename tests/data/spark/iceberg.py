"""Iceberg for Spark: its jar, which Spark loads by `spark.jars`, and the configuration of a catalog in a folder."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from data.maven import CACHE, retrieve

VERSION = "1.10.1"
SHA256 = "2192a0881ed0f5773b5a83a8820d2b0b2069beec203028643a1c338551007f09"
# Runs a statement and returns its rows.
Sql = Callable[[str], list[Any]]
JAR = f"iceberg-spark-runtime-4.0_2.13-{VERSION}.jar"


def jar() -> Path:
    """The jar in the cache, fetched when it is not there (47 MB) by the Ivy that PySpark has, from Maven Central."""
    file = CACHE / JAR
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=CACHE) as folder:
            retrieve("org.apache.iceberg", JAR.removesuffix(f"-{VERSION}.jar"), VERSION, Path(folder))
            (Path(folder) / JAR).replace(file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found == SHA256, f"{file} is not {JAR}: its SHA-256 is {found}; remove it"
    return file


def catalog(name: str, folder: Path) -> dict[str, str]:
    """What a session must be told to have the catalog; small and quiet, for a test's machine."""
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "1g",
        "spark.jars": str(jar()),
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        f"spark.sql.catalog.{name}": "org.apache.iceberg.spark.SparkCatalog",
        f"spark.sql.catalog.{name}.type": "hadoop",
        f"spark.sql.catalog.{name}.warehouse": str(folder / name),
    }


def utc(time: datetime | None) -> str:
    """A time in SQL, whatever the session's zone is."""
    return f"TIMESTAMP '{time:%Y-%m-%d %H:%M:%S.%f} UTC'" if time else "NULL"
