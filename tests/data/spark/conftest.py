"""Java, a lake of Iceberg tables, and somebody else's session on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.maven import java_problem
from data.spark.iceberg import Sql, catalog
from featureplane.local.stores import embedded_stores
from featureplane.settings import Stores


@pytest.fixture(scope="module", autouse=True)
def java() -> None:
    if problem := java_problem("Spark"):
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="module")
def stores(java: None) -> Iterator[Stores]:
    with embedded_stores(None, search_path=os.environ.get("PATH", os.defpath)) as found:
        yield found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def conf(lake: Path) -> dict[str, str]:
    """Far from UTC, which a session of ours must keep to all the same."""
    return {**catalog("lake", lake), "spark.sql.session.timeZone": "Asia/Tokyo"}


@pytest.fixture(scope="module")
def sql(conf: dict[str, str]) -> Iterator[Sql]:
    """Somebody else's session on the same catalog."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    session = SparkSession.builder.config(conf=SparkConf().setAll(list(conf.items()))).getOrCreate()
    yield lambda statement: session.sql(statement).collect()
    session.stop()
