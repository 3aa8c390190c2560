"""Tables of Spark's catalogs: queries for a session of Spark's in a process of its own, whose rows come in pieces.

A piece passes through a file of a few megabytes. Of a query's rows the process and its Java have one of Spark's
partitions in memory at a time; sorting and shuffling are Spark's, on its own disk.
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Self

import pyarrow as pa
from sqlglot import exp

from featureplane.errors import FeatureplaneError, SourceError
from featureplane.materialization.readers.failures import cancelled
from featureplane.model.feast_project import FeastProject
from featureplane.registry.channel import Child, Message
from featureplane.rendering.repo import spark_conf
from featureplane.settings import child_environment


class Spark:
    """A `Database`. Its process starts with the first question, which takes seconds, and ends with the block."""

    where = ""

    def __init__(self, conf: Mapping[str, str]) -> None:
        self._conf = conf
        self._child: Child | None = None
        self._cancelled = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def columns_of(self, table: exp.Table, place: str) -> pa.Schema:
        """The columns of a table as it is now. Raises SourceError."""
        answer = self._ask({"op": "columns", "table": table.sql("spark")}, place)
        return pa.ipc.read_schema(pa.py_buffer(b64decode(answer["schema"])))

    def stream(self, query: exp.Expr, place: str) -> Iterator[pa.RecordBatch]:
        """A query's rows, one query at a time. Raises SourceError, FeatureplaneError once this was cancelled."""
        self._ask({"op": "query", "sql": query.sql("spark")}, place)
        with TemporaryDirectory(prefix="featureplane-spark-") as folder:
            piece = Path(folder) / "rows.arrow"
            while self._ask({"op": "rows", "path": str(piece)}, place)["rows"]:
                with pa.OSFile(str(piece)) as file, pa.ipc.open_stream(file) as rows:
                    yield from rows

    def cancel(self) -> None:
        """End the process, and refuse further queries."""
        self._cancelled.set()
        if self._child is not None:
            self._child.kill()

    def _ask(self, request: Message, place: str) -> Message:
        try:
            return self._started().ask(request, patience=None)
        except FeatureplaneError as error:
            if self._cancelled.is_set():
                raise cancelled(place) from error
            raise SourceError(f"{place} cannot be read: {error}") from error

    def _started(self) -> Child:
        if self._cancelled.is_set():
            raise FeatureplaneError("no more is read")
        if self._child is None or not self._child.is_running:
            environment = {**child_environment(), "PYTHONWARNINGS": "ignore"}
            child = Child("featureplane.materialization.spark_process", environment)
            try:
                child.ask({"op": "open", "conf": dict(self._conf)}, patience=None)
            except BaseException:
                child.close()
                raise
            self._child = child
        return self._child


def spark_of(project: FeastProject) -> Spark | None:
    """The session that a project's tables are read by, None where they are not Spark's."""
    return Spark(spark_conf(project)) if project.spec.offline_store.type == "spark" else None
