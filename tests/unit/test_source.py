import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature_view, a_postgres_source, a_source, a_spark_source, problems_in
from featureplane.model.source import PATH_PATTERN, SPARK_TABLE_PATTERN, TABLE_PATTERN

PATH = "write a path below the data root, of letters, digits and _ . = * @ + , - and single /"
TABLE = "write table or schema.table, of letters, digits and _, each of at most 63 characters"
SPARK_TABLE = "write catalog.schema.table, of letters, digits and _, each of at most 63 characters"
COLUMN = "use letters, digits and _, and do not start with a digit"


def problems_of_path(path):
    return problems_in(a_feature_view(source=a_source(file={"path": path})))


def problems_of_table(table):
    return problems_in(a_feature_view(source=a_postgres_source(table)))


@pytest.mark.parametrize(
    "path",
    [
        "prices.parquet",
        "lake/prices/",
        "lake/*/prices-*.parquet",
        "year=2025/month=01",
        "a b/c",
        "..a/b..",
        "a...b",
        "x" * 255 + "/" + "y" * 255,
    ],
)
def test_a_path_below_the_data_root(path):
    assert problems_of_path(path) == []


@pytest.mark.parametrize("path", ["..", "../x", "a/../b", "a/..", ".", "./a", "a/./b", "../../etc/passwd"])
def test_a_path_that_leaves_the_data_root_is_refused(path):
    assert problems_of_path(path) == [
        f"spec.source.file.path: {path!r} leaves the data root; write a path below it, without . or .. as a folder"
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "//a",
        "a//b",
        "~/x",
        "$HOME/x",
        "${HOME}",
        "{{ x }}",
        "s3://bucket/x",
        "file:///x",
        "C:\\x",
        "a\\b",
        "a?b",
        "a[b]",
        "a{b,c}",
        "a'b",
        'a"b',
        "a;b",
        "a|b",
        "a&b",
        "a\nb",
        "a\n",
        "a\0b",
        "ä",
        "%2e%2e/x",
        "\u2025/x",
        " a",
        "a/ b/c",
    ],
)
def test_a_path_of_other_characters_is_refused(path):
    assert problems_of_path(path) == [f"spec.source.file.path: {path!a} is not allowed here; {PATH}"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty; write something"),
        ("x" * 513, "is longer than 512 characters; shorten it"),
        (7, "must be text, not 7; put it in quotes"),
    ],
)
def test_a_path_of_no_or_too_much_text_is_refused(path, problem):
    assert problems_of_path(path) == [f"spec.source.file.path: {problem}"]


@given(st.text(alphabet="ab./*~$ \\\0:%é", max_size=12) | st.from_regex(PATH_PATTERN))
def test_an_accepted_path_stays_below_the_root(path):
    if path and not problems_of_path(path):
        assert re.fullmatch(r"[A-Za-z0-9_.=*@+, /-]+", path)
        assert not path.startswith("/")
        assert not {"..", "."} & set(path.split("/"))


@pytest.mark.parametrize("table", ["prices", "public.prices", "_a._b", "x" * 63 + "." + "y" * 63])
def test_a_table(table):
    assert problems_of_table(table) == []


@pytest.mark.parametrize(
    "table",
    [
        "a.b.c",
        "a;b",
        "a b",
        "1a",
        "a'",
        'public."x"',
        "a--",
        "a/*",
        "(select 1)",
        "a\n",
        "a\0",
        "ä",
        ".a",
        "a.",
        "x" * 64,
        "${A}",
        "%s",
    ],
)
def test_a_table_of_another_form_is_refused(table):
    (problem,) = problems_of_table(table)
    assert problem.startswith("spec.source.postgres.table: ")
    assert problem.endswith(f" is not allowed here; {TABLE}")


@given(st.text(alphabet="ab.;'\"- \n(é", max_size=12) | st.from_regex(TABLE_PATTERN))
def test_an_accepted_table_is_safe_in_sql_without_quotes(table):
    if table and not problems_of_table(table):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", table)


def problems_of_spark_table(table):
    return problems_in(a_feature_view(source=a_spark_source(table)))


@pytest.mark.parametrize("table", ["lake.markets.prices", "spark_catalog._a._b", "a.b.c.d", ".".join(["x" * 63] * 4)])
def test_a_table_of_a_spark_catalog(table):
    assert problems_of_spark_table(table) == []


@pytest.mark.parametrize(
    "table",
    [
        "prices",
        "csv.users",  # Spark would read the file users
        "parquet.`/etc/passwd`",
        "a.b.c.d.e",
        "a.b.1c",
        "a.b.c;d",
        "a.b.`c`",
        "a.b.c d",
        "a.b-c.d",
        "a..c",
        ".a.b.c",
        "a.b.c.",
        "a.b.c\n",
        "a.b.ä",
        "a.b." + "x" * 64,
        "a.b.${C}",
        "(select 1)",
        "s3://a.b.c",
    ],
)
def test_a_spark_table_of_another_form_is_refused(table):
    (problem,) = problems_of_spark_table(table)
    assert problem.startswith("spec.source.spark.table: ")
    assert problem.endswith(f" is not allowed here; {SPARK_TABLE}")


@given(st.text(alphabet="ab.;'`\"- \n(é/", max_size=12) | st.from_regex(SPARK_TABLE_PATTERN))
def test_an_accepted_spark_table_is_safe_in_sql_and_names_its_catalog(table):
    if table and not problems_of_spark_table(table):
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){2,3}", table)


@pytest.mark.parametrize("key", ["query", "path", "options", "fileFormat", "sparkConf"])
def test_a_spark_source_has_a_table_and_nothing_else(key):
    (problem,) = problems_in(a_feature_view(source=a_spark_source(spark={"table": "a.b.c", key: "x"})))
    assert problem.startswith(f"spec.source.spark.{key}: is not a field")


@pytest.mark.parametrize("field", ["timestampField", "createdTimestampColumn"])
@pytest.mark.parametrize("column", ["a-b", "a b", "1a", "a;--", "a'", "a\n", "ä", '"a"'])
def test_a_column_that_is_not_safe_in_sql_is_refused(field, column):
    assert problems_in(a_feature_view(source=a_source(**{field: column}))) == [
        f"spec.source.{field}: {column!a} is not allowed here; {COLUMN}"
    ]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            a_source(postgres={"table": "x"}),
            "spec.source: must have exactly one of file, postgres and spark; write one of them",
        ),
        (
            a_spark_source(postgres={"table": "x"}),
            "spec.source: must have exactly one of file, postgres and spark; write one of them",
        ),
        (a_source(file=None), "spec.source: must have exactly one of file, postgres and spark; write one of them"),
        (
            a_source(timestampField=None),
            (
                "spec.source.timestampField: is missing; "
                "add timestampField: Column with the time at which a row's values were true (event time)."
            ),
        ),
        (
            a_source(createdTimestampColumn="event_timestamp"),
            "spec.source.createdTimestampColumn: is the timestampField as well; leave it out",
        ),
        (
            a_source(file={"path": "x", "format": "csv"}),
            "spec.source.file.format: 'csv' is not allowed here; write parquet or delta",
        ),
        (
            a_source(fieldMapping={"a": "price", "b": "price"}),
            "spec.source.fieldMapping.b: maps to 'price', as 'a' does; keep one of them",
        ),
        (
            a_source(fieldMapping={"a b": "price"}),
            f"spec.source.fieldMapping['a b']: 'a b' is not allowed here; {COLUMN}",
        ),
        (
            a_source(fieldMapping=["a"]),
            "spec.source.fieldMapping: must be a mapping, not ['a']; write its fields below it, indented",
        ),
        (a_source(path="x"), "spec.source.path: is not a field; did you mean file.path?"),
    ],
)
def test_a_source_that_is_not_one_is_refused(source, problem):
    assert problems_in(a_feature_view(source=source)) == [problem]
