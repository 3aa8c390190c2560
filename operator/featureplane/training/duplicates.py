"""Rows of a file that are the same in every column: a training set would weigh them twice."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from featureplane.errors import InputError, Problem
from featureplane.materialization.readers.duck import open_duckdb
from featureplane.materialization.readers.failures import reading
from featureplane.training.entity_files import EntityFile
from featureplane.training.moments import BATCH_ROWS, rows_named

_MOST_NAMED = 5
# The file's columns by place: one may be called as the number of a row is.
_QUERY = """
SELECT list("row" ORDER BY "row") FROM entity_rows GROUP BY {columns}
HAVING count(*) > 1 ORDER BY min("row") LIMIT {limit}
"""


def refuse_duplicates(file: EntityFile, scratch: Path | None, memory_mb: int) -> None:
    """Raises InputError naming the first rows that are the same."""
    names = [f"c{index}" for index in range(len(file.schema))]
    schema = pa.schema(
        [*(pa.field(name, each.type) for name, each in zip(names, file.schema, strict=True)), ("row", pa.int64())]
    )
    with open_duckdb(scratch, memory_mb=memory_mb) as duck, reading(file.place):
        duck.connection.from_arrow(pa.RecordBatchReader.from_batches(schema, _numbered(file, schema))).create(
            "entity_rows"
        )
        found = duck.connection.execute(_QUERY.format(columns=", ".join(names), limit=_MOST_NAMED)).fetchall()
    if found:
        remedy = "leave one of each, or allow them with --allow-duplicates"
        raise InputError([Problem(file.place, 0, "", f"{rows_named(rows)} are the same", remedy) for (rows,) in found])


def _numbered(file: EntityFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    count = 0
    for batch in file.batches(BATCH_ROWS):
        numbers = pa.array(range(count + 1, count + batch.num_rows + 1), pa.int64())
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
        count += batch.num_rows
