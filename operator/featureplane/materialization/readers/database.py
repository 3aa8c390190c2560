"""What readers of tables ask of whatever holds them: PostgreSQL, or a session of Spark's."""

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
from sqlglot import exp


class Database(Protocol):
    """A place with tables; queries are put into its own dialect by itself."""

    @property
    def where(self) -> str:
        """` at ADDRESS` for the end of a table's name in a message, or nothing."""
        ...

    def columns_of(self, table: exp.Table, place: str) -> pa.Schema:
        """The columns of a table. Raises SourceError, StoreUnavailable."""
        ...

    def stream(self, query: exp.Expr, place: str) -> Iterator[pa.RecordBatch]:
        """A query's rows as they arrive. Raises SourceError, StoreUnavailable, FeatureplaneError once cancelled."""
        ...

    def cancel(self) -> None:
        """End the query that runs, and refuse further ones. May be called from another thread."""
        ...
