"""Encoded batches as the encoder makes them, from plain values."""

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from featureplane.materialization.encoding.encoded import Encoded, Part
from featureplane.online.layout import field, prefix, time_field

PROJECT = "shop"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T0 = 1_700_000_000_000_000
SECOND = 1_000_000

# The writer's ways, as its options.
MODES = {"newest": {}, "atomic": {"atomic": True}, "overwrite": {"overwrite": True}}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)

Row = tuple[int, int, Mapping[str, float]]
"""An entity, its event time in microseconds, its features."""


def key_of(entity: int) -> bytes:
    value = struct.pack("<q", entity)
    return prefix((("driver", "Int64"),)) + struct.pack("<2I", 4, len(value)) + value + PROJECT.encode()


def stamp(micros: int) -> bytes:
    """A serialized Timestamp."""
    made = Timestamp()
    made.FromDatetime(EPOCH + timedelta(microseconds=micros))
    return made.SerializeToString()


def value_of(number: float) -> bytes:
    """A serialized feast.types.Value with a float_val."""
    return b"\x35" + struct.pack("<f", number)


def hash_of(view: str, micros: int, features: Mapping[str, float]) -> dict[bytes, bytes]:
    """What Redis holds of a row."""
    values = {field(view, name): value_of(number) for name, number in features.items()}
    return {**values, time_field(view): stamp(micros)}


def part_of(view: str, rows: Sequence[Row | None], ttl_ms: int = 0) -> Part:
    """A view's part; None where the row has nothing of it."""
    names = next(list(row[2]) for row in rows if row)
    bodies = [_body(hash_of(view, row[1], row[2])) if row else b"" for row in rows]
    return Part(
        time_field(view),
        np.array([row[1] if row else 0 for row in rows], np.int64),
        None if all(rows) else np.array([row is not None for row in rows]),
        pa.array(bodies, pa.binary()),
        2 * len(names) + 2,
        (*(field(view, name) for name in names), time_field(view)),
        ttl_ms,
    )


def batch(view: str, rows: Sequence[Row], ttl_ms: int = 0) -> Encoded:
    return Encoded(pa.array([key_of(row[0]) for row in rows], pa.binary()), (part_of(view, rows, ttl_ms),))


def joint_batch(
    entities: Sequence[int], parts: Mapping[str, Sequence[tuple[int, Mapping[str, float]] | None]], ttl_ms: int = 0
) -> Encoded:
    """Several views of the same entities."""
    made = [
        part_of(view, [(entity, *row) if row else None for entity, row in zip(entities, rows, strict=True)], ttl_ms)
        for view, rows in parts.items()
    ]
    return Encoded(pa.array([key_of(entity) for entity in entities], pa.binary()), tuple(made))


def rows_of(count: int, micros: int = T0, value: float = 1.0, first: int = 0) -> list[Row]:
    return [(entity, micros, {"a": value, "b": entity / 8}) for entity in range(first, first + count)]


def _body(values: Mapping[bytes, bytes]) -> bytes:
    words = [word for pair in values.items() for word in pair]
    return b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
