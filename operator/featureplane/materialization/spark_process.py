"""A child process with a session of Spark's, which `readers.spark` asks for rows. It knows nothing of Feast.

Spark gives a table as Arrow only as a whole. So its workers put each batch into a column of bytes, and these come one
of Spark's partitions at a time.
"""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from featureplane.errors import FeatureplaneError
from featureplane.registry import channel
from featureplane.registry.channel import Message

_PIECE_BYTES = 8 << 20


class Session:
    """Answers requests; of its queries the latest is the one whose rows are asked for."""

    def __init__(self) -> None:
        self._spark: Any = None
        self._rows: Iterator[Any] = iter(())

    def answer(self, request: Message) -> Message:
        if request["op"] == "open":
            if find_spec("pyspark") is None:
                raise FeatureplaneError("there is no pyspark here; pip install featureplane[spark]")
            with _explaining():
                from featureplane.materialization.spark_session import session_of

                self._spark = session_of(request["conf"])
            return {}
        with _explaining():
            if request["op"] == "columns":
                return {"schema": b64encode(self._columns(request["table"]).serialize()).decode()}
            if request["op"] == "query":
                batches = self._spark.sql(request["sql"]).mapInArrow(_packing(), "batch binary")
                self._rows = batches.toLocalIterator()
                return {}
            return {"rows": self._piece(request["path"])}

    def _columns(self, table: str) -> pa.Schema:
        # A catalog may show a table as the session last saw it.
        self._spark.sql(f"REFRESH TABLE {table}")
        found = self._spark.table(table).limit(0)
        return pa.schema([_field(found, place, kind) for place, kind in enumerate(found.dtypes)])

    def _piece(self, path: str) -> int:
        """Write some of the rows; how many, none at the end."""
        count = size = 0
        writer = None
        try:
            for (packed,) in self._rows:
                with pa.ipc.open_stream(pa.py_buffer(bytes(packed))) as batches:
                    writer = writer or pa.ipc.new_stream(path, batches.schema)
                    for batch in batches:
                        writer.write_batch(batch)
                        count += batch.num_rows
                size += len(packed)
                if size >= _PIECE_BYTES:
                    break
        finally:
            if writer is not None:
                writer.close()
        return count


def _field(found: Any, place: int, kind: tuple[str, str]) -> pa.Field:
    """A column's name and Arrow type; one that Arrow does not have is told by Spark's name for it."""
    from pyspark.errors import PySparkTypeError
    from pyspark.sql.pandas.types import to_arrow_type

    name, said = kind
    try:
        return pa.field(name, to_arrow_type(found.schema[place].dataType, timestamp_utc=True))
    except PySparkTypeError:
        return pa.field(name, pa.opaque(pa.binary(), said, "spark"))


def _packing() -> Any:
    # A function within a function goes to the workers by its code: they need pyarrow, and nothing of ours.
    def packed(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow  # noqa: ICN001 - the module's own name for it would be looked for where this is called from

        for batch in batches:
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            yield pyarrow.record_batch([[sink.getvalue().to_pybytes()]], ["batch"])

    return packed


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except FeatureplaneError:
        raise
    except Exception as error:
        from featureplane.materialization.spark_session import explained

        raise explained(error) from error


def main() -> None:
    session = Session()
    channel.serve(lambda request, _: session.answer(request))


if __name__ == "__main__":
    main()
