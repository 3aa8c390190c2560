"""Texts in queries reach Spark as they are: they are data of others, join keys above all."""

import pytest
from sqlglot import exp

from featureplane.materialization.readers.spark import Spark

# It starts a Java, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(900)

# What could end a text early, is an escape, or a variable of the environment or of the session's configuration.
TEXTS = ["o'neil", '"', "\\' OR true -- ", "\\", "\\u0041\\101\\%", "a\nb\t", "`", "${env:PATH}", "${spark.master}"]


def test_a_text_is_neither_sql_nor_an_escape_nor_a_variable(conf: dict[str, str]) -> None:
    columns = [exp.alias_(exp.Literal.string(text), f"t{place}") for place, text in enumerate(TEXTS)]
    with Spark({**conf, "spark.sql.parser.escapedStringLiterals": "true"}) as spark:
        (batch,) = spark.stream(exp.select(*columns), "a query")
    assert list(batch.to_pylist()[0].values()) == TEXTS
