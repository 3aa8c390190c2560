"""The writer: batches of encoded rows in, pipelined to Redis, and done again after a fault until Redis confirmed them.

    with open_writer(address) as writer:
        for batch in batches:
            writer.write(batch)
        writer.flush()

A batch goes out in pieces. A few of them are under way at a time, each at its own step (see `modes`), so that a server
has the commands of one while the answers of another are looked at. Writing a row twice does no harm: after a fault all
pieces that were not confirmed begin anew.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featureplane.materialization.encoding.encoded import Encoded
from featureplane.materialization.writing import modes
from featureplane.materialization.writing.exchange import Steps
from featureplane.materialization.writing.pipeline import Limits, Piece, Pipeline
from featureplane.materialization.writing.selection import matrix, narrowed, newest, pieces, unexpired
from featureplane.materialization.writing.servers import Servers
from featureplane.online.expiry import Expiry, plan_for
from featureplane.online.scripts import NEWEST, RAISE
from featureplane.settings import RedisAddress

_ROWS_A_SCRIPT = 100


@contextmanager
def open_writer(
    address: RedisAddress,
    *,
    atomic: bool = False,
    overwrite: bool = False,
    expiry: Expiry | None = None,
    limits: Limits | None = None,
) -> Iterator["Writer"]:
    """A connected writer. At the end of the block all is flushed; with an exception what is under way is dropped.

    `atomic` is for views that others write at the same time, `overwrite` for a first copy that nobody else writes: rows
    then go out in the order of the batches, whatever is stored. Without an `expiry` no row expires, whatever its ttl.

    Raises StoreUnavailable when Redis is not there for longer than the limits' patience, or lets nobody in;
    ServerReplaced when confirmed rows may be gone; WriteRefused when it is full or refuses otherwise. So do `write` and
    `flush`.
    """
    mode = modes.atomic if atomic else modes.overwrite if overwrite else modes.newest
    writer = Writer(address, mode, expiry, limits or Limits())
    try:
        writer.open()
        yield writer
        writer.flush()
    finally:
        writer.close()


class Writer:
    """See `open_writer`. The counters are by time field; rows are counted when Redis confirmed them.

    `skipped` rows were older than what is stored or than another of their batch, `expired` ones had outlived their ttl.
    """

    def __init__(self, address: RedisAddress, mode: modes.Mode, expiry: Expiry | None, limits: Limits) -> None:
        self.written: Counter[bytes] = Counter()
        self.skipped: Counter[bytes] = Counter()
        self.expired: Counter[bytes] = Counter()
        self._mode = mode
        self._is_atomic = mode is modes.atomic
        self._expiry = expiry
        self._limits = limits
        loaded = [NEWEST] if self._is_atomic else [RAISE] if expiry and expiry.all_views_expire else []
        self._servers = Servers(address, limits.timeout, loaded, asks_expiry=expiry is not None)
        self._pipeline = Pipeline(self._servers, limits, self._steps_of, self._confirm)

    def open(self) -> None:
        self._pipeline.open()

    def write(self, rows: Encoded) -> None:
        """Take n rows. Returns before Redis has them; waits while as much is under way as the limits allow."""
        rows = self._wanted(rows)
        if not self._is_atomic and self._meets(rows):
            self.flush()
        for piece in pieces(rows, self._limits.rows, self._limits.bytes):
            self._pipeline.put(piece)

    def flush(self) -> None:
        """Wait until Redis has confirmed all rows."""
        self._pipeline.flush()

    def close(self) -> None:
        """Drop the connections, with what is under way."""
        self._servers.close()

    def _wanted(self, rows: Encoded) -> Encoded:
        """Without rows that expired, or that another row of the batch replaces; they are counted."""
        if self._expiry is not None and any(part.ttl_ms for part in rows.parts):
            rows = self._without(rows, unexpired(rows, int(time.time() * 1000)), self.expired)
        if not self._is_atomic:
            rows = self._without(rows, newest(rows), self.skipped)
        keep = matrix(rows)
        return rows if keep.any(axis=1).all() else narrowed(rows, keep)

    def _without(self, rows: Encoded, keep: Any, counter: Counter[bytes]) -> Encoded:
        gone = matrix(rows).sum(axis=0) - keep.sum(axis=0)
        self._count(counter, rows, gone)
        return narrowed(rows, keep) if gone.any() else rows

    def _meets(self, rows: Encoded) -> bool:
        """Whether a row of these views is under way: what is stored is then about to change."""
        fields = {part.time_field for part in rows.parts}
        keys = [
            piece.rows.keys
            for piece in self._pipeline.under_way
            if not fields.isdisjoint(part.time_field for part in piece.rows.parts)
        ]
        return bool(keys) and bool(pc.any(pc.is_in(rows.keys, value_set=pa.concat_arrays(keys))).as_py())

    def _steps_of(self, rows: Encoded) -> Steps:
        ttls = [part.ttl_ms for part in rows.parts]
        plan = plan_for(self._expiry, ttls, has_field_expiry=self._servers.has_field_expiry)
        return self._mode(rows, plan, 1 if self._servers.is_cluster else _ROWS_A_SCRIPT)

    def _confirm(self, piece: Piece) -> None:
        for outcome in piece.outcomes:
            self._count(self.written, piece.rows, outcome.written)
            self._count(self.skipped, piece.rows, outcome.skipped)

    def _count(self, counter: Counter[bytes], rows: Encoded, counts: Any) -> None:
        for part, count in zip(rows.parts, np.asarray(counts).tolist(), strict=True):
            counter[part.time_field] += count
