"""A view's batches, made ready for the writer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from featureplane.materialization.encoding.encoded import Encoded, Part
from featureplane.materialization.encoding.keys import encode_keys
from featureplane.materialization.encoding.ragged import Piece, by_number, compact, join, lengths, varints
from featureplane.materialization.encoding.values import encode, is_columnar
from featureplane.materialization.rows import View
from featureplane.model.types import FeatureType, parse_type
from featureplane.online.layout import field, time_field
from featureplane.online.times import MICROSECONDS_PER_SECOND

_NANOSECONDS = 1_000
_MILLISECONDS = 1_000


class ViewEncoder:
    """What all batches of one view share: its types, and the bytes before each value."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._features = [(name, parse_type(kind), _bulk(field(view.name, name))) for name, kind in view.features]
        self._time_field = time_field(view.name)
        self._names = (*(field(view.name, name) for name, _ in view.features), self._time_field)

    def encode(self, columns: Mapping[str, pa.Array], times: Any, present: Any | None = None) -> Part:
        """The view's part of n rows: columns as `conforming` leaves them, times in microseconds since 1970.

        Raises FeatureplaneError for a value that only Feast encodes and refuses.
        """
        rows = len(times)
        pieces: list[Piece] = []
        for name, kind, before in self._features:
            pieces += [before, *_argument(serialized(columns[name], kind), rows)]
        pieces += [_bulk(self._time_field), *_argument(_timestamps(times), rows)]
        body = join(rows, pieces)
        return Part(
            time_field=self._time_field,
            times=times,
            present=present,
            body=body,
            arguments=2 * len(self._names),
            fields=self._names,
            ttl_ms=self.view.ttl_seconds * _MILLISECONDS,
        )

    def keys(self, columns: Mapping[str, pa.Array]) -> pa.BinaryArray:
        """The Redis keys of the rows; `columns` hold the join keys as `conforming` leaves them."""
        return encode_keys(dict(columns), self.view.keys, self.view.project)

    def whole(self, columns: Mapping[str, pa.Array], times: Any) -> Encoded:
        """A batch of this view alone."""
        return Encoded(self.keys(columns), (self.encode(columns, times),))


def serialized(column: pa.Array, kind: FeatureType) -> Piece:
    """A column, as `conforming` leaves it, as serialized values. Raises FeatureplaneError for what Feast refuses."""
    if is_columnar(kind) and not pa.types.is_null(column.type):
        return encode(column, kind)
    from featureplane.materialization.encoding import feast_values

    return feast_values.encode(column, kind)


def _bulk(text: bytes) -> bytes:
    """One string of RESP (redis.io, "Redis serialization protocol specification")."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _argument(piece: Piece, rows: int) -> list[Piece]:
    """A value of each row as a RESP bulk string."""
    if isinstance(piece, np.ndarray):
        return [b"$%d\r\n" % piece.shape[1], piece, b"\r\n"]
    if isinstance(piece, bytes):
        return [_bulk(piece)]
    assert len(piece) == rows
    return [by_number(lengths(piece), lambda length: b"$%d\r\n" % length), piece, b"\r\n"]


def _timestamps(times: Any) -> Piece:
    """Serialized google.protobuf.Timestamp messages: seconds and nanoseconds, each left out where it is zero."""
    seconds, micros = np.divmod(np.asarray(times, np.int64), MICROSECONDS_PER_SECOND)
    whole = [_field(b"\x08", seconds), _field(b"\x10", micros * _NANOSECONDS)]
    return join(len(seconds), whole) if any(isinstance(piece, pa.Array) for piece in whole) else np.concatenate(
        [piece for piece in whole if isinstance(piece, np.ndarray)], axis=1
    )  # fmt: skip


def _field(tag: bytes, numbers: Any) -> Piece:
    matrix, counts = varints(numbers)
    tagged = np.concatenate([np.full((len(numbers), 1), tag[0], np.uint8), matrix], axis=1)
    return compact(tagged, np.where(numbers != 0, counts + 1, 0))
