"""Views of real files below a folder of the test's, and what their readers give."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featureplane.materialization.readers.opening import Places, open_reader
from featureplane.materialization.rows import View, Window
from featureplane.settings import PostgresAddress

DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


def a_view(**changes: Any) -> View:
    """A view of prices by commodity; fields of its source are changed by their own names."""
    source = {
        "type": "file",
        "path": "prices.parquet",
        "format": "parquet",
        "timestamp_field": "event_timestamp",
        "created_timestamp_column": "",
        "field_mapping": {},
    }
    source |= {name: changes.pop(name) for name in list(changes) if name in source}
    return View(
        "feast",
        "prices",
        changes.pop("keys", (("commodity", "String"),)),
        changes.pop("features", (("price", "Float64"),)),
        {**source, **changes.pop("source", {})},
        **changes,
    )


def at(hour: float) -> datetime:
    """An hour of the day, with a zone."""
    return datetime.fromtimestamp(DAY.start.timestamp() + hour * 3600, UTC)


def prices(*rows: tuple[Any, ...]) -> pa.Table:
    """Commodity, hour and price of each row."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    hours = [None if hour is None else at(hour) for hour in columns[1]]
    return pa.table(
        {
            "commodity": pa.array(columns[0], pa.string()),
            "event_timestamp": pa.array(hours, pa.timestamp("us", tz="UTC")),
            "price": pa.array(columns[2], pa.float64()),
        }
    )


@dataclass
class Folder:
    """What a test reads from."""

    path: Path
    batch_rows: int = 2
    scratch: Path | None = None
    held_bytes: int = 10**8
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, table: pa.Table, name: str = "prices.parquet", **options: Any) -> Path:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, place, **options)
        return place

    def open(self, view: View | None = None, window: Window = DAY) -> Any:
        return open_reader(
            view or a_view(),
            window,
            Places(self.path, PostgresAddress({}), self.scratch),
            batch_rows=self.batch_rows,
            **self.options,
        )

    def batches(self, view: View | None = None, window: Window = DAY) -> list[pa.RecordBatch]:
        with self.open(view, window) as reader:
            return list(reader.batches())

    def rows(self, view: View | None = None, window: Window = DAY) -> list[dict[str, Any]]:
        """The rows in the order of their keys and features."""
        found = [row for batch in self.batches(view, window) for row in batch.to_pylist()]
        return sorted(found, key=repr)

    def prices(self, view: View | None = None, window: Window = DAY) -> dict[str, Any]:
        """Commodity -> price."""
        return {row["commodity"]: row["price"] for row in self.rows(view, window)}

    def counts(self, view: View | None = None, window: Window = DAY) -> Any:
        with self.open(view, window) as reader:
            for _ in reader.batches():
                pass
            return reader.counts
