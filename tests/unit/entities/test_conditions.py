"""How a query asks for an entity's rows: by the bare column wherever it holds the join key's own values."""

import pyarrow as pa
import pytest
from sqlglot import exp

from featureplane.entities.conditions import is_value

COLUMN = exp.column(exp.to_identifier("k", quoted=True), table="source_row")
DAY = 86_400


def _within(kind: str, start: str, end: str) -> str:
    return f"source_row.\"k\" >= CAST('{start}' AS {kind}) AND source_row.\"k\" < CAST('{end}' AS {kind})"


@pytest.mark.parametrize(
    ("found", "kind", "value", "sql"),
    [
        (pa.string(), "String", "o'neil", "source_row.\"k\" = 'o''neil'"),
        (pa.large_string(), "String", "x", "source_row.\"k\" = 'x'"),
        (pa.int32(), "String", "007", "CAST(source_row.\"k\" AS TEXT) = '007'"),
        (pa.int64(), "Int64", -5, 'source_row."k" = -5'),
        (pa.float64(), "Int32", 5, 'source_row."k" = 5'),
        (pa.int64(), "UnixTimestamp", DAY, f'source_row."k" = {DAY}'),
        (
            pa.timestamp("us", "UTC"),
            "UnixTimestamp",
            DAY,
            _within("TIMESTAMPTZ", "1970-01-02 00:00:00+00:00", "1970-01-02 00:00:01+00:00"),
        ),
        (pa.date32(), "UnixTimestamp", DAY, _within("DATE", "1970-01-02", "1970-01-03")),
        (pa.timestamp("s"), "UnixTimestamp", 2**62, "FALSE"),
    ],
)
def test_the_column_stays_bare(found: pa.DataType, kind: str, value: object, sql: str) -> None:
    assert is_value(COLUMN, found, kind, value).sql("postgres") == sql
