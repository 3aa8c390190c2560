"""What Feast's SQL registry takes for its engine, so that all it does is part of one transaction of ours.

Feast's registry writes each object in a dozen transactions of its own; some open a second connection in a first, and
a process that ends in the middle leaves half an object. Its code asks its two engines for nothing but `begin()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection


class OneTransaction:
    """Stands in for `write_engine` and `read_engine` of a `SqlRegistry`; of use only within `over`."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Let Feast take part in the transaction of `connection`; who opened it ends it."""
        self._connection = connection
        try:
            yield
        finally:
            self._connection = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Feast's own beginning and end mean nothing: an error inside leaves no transaction to go on with."""
        assert self._connection is not None, "Feast used its registry outside of a transaction"
        yield self._connection
