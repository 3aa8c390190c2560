"""Sources that Feast's users can have and no custom resource can say; what it can say is in tests/feast."""

import pytest

from featureplane.registry.from_protos import convert
from featureplane.registry.protos import DataSource
from featureplane.registry.state import Foreign
from featureplane.rendering.definitions import Definition


def a_spark_source(**options):
    return DataSource(
        name="prices",
        type=DataSource.BATCH_SPARK,
        timestamp_field="at",
        spark_options=DataSource.SparkOptions(**options),
    )


@pytest.mark.parametrize("partitions", ["", "%Y-%m-%d"])
def test_a_table_of_spark(partitions):
    found = convert("data_source", a_spark_source(table="a.b.c", date_partition_column_format=partitions))
    assert isinstance(found, Definition)
    assert (found.spec["type"], found.spec["table"]) == ("spark", "a.b.c")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"query": "SELECT 1"}, "a query; only a table can be declared"),
        ({"path": "s3://x", "file_format": "parquet"}, "a path for Spark; only a table can be declared"),
        ({"table": "a.b.c", "table_format": {"iceberg_format": {}}}, "a table format"),
        ({"table": "a.b.c", "date_partition_column_format": "%Y%m%d"}, "a format of date partitions"),
    ],
)
def test_what_else_spark_can_read_is_left_to_feast(options, why):
    assert convert("data_source", a_spark_source(**options)) == Foreign("data_source", "prices", why)
