"""Pieces of batches on their way to the servers: several at a time, and begun anew after a fault."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from featureplane.errors import OnlineStoreUnavailable
from featureplane.materialization.encoding.encoded import Encoded
from featureplane.materialization.writing.exchange import Exchange, Outcome, Steps
from featureplane.materialization.writing.faults import Interrupted
from featureplane.materialization.writing.link import Link, move
from featureplane.materialization.writing.servers import Servers


@dataclass(frozen=True)
class Limits:
    """How much is under way: at most `pieces` of at most so many rows and bytes; times in seconds.

    `patience` is for how long faults are borne without any piece being confirmed, `timeout` for how long a server may
    be silent.
    """

    rows: int = 5_000
    bytes: int = 8_000_000
    pieces: int = 6
    patience: float = 60.0
    timeout: float = 30.0


@dataclass(eq=False)
class Piece:
    """Rows under way: on how many servers they are not done, None before they began, and what was done."""

    rows: Encoded
    left: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)


class Pipeline:
    """`steps_of` makes the steps of a server's share of a piece; `confirm` is told of each piece that is done.

    Once a call raised another error than Interrupted, nothing but `close` may follow.
    """

    def __init__(
        self,
        servers: Servers,
        limits: Limits,
        steps_of: Callable[[Encoded], Steps],
        confirm: Callable[[Piece], None],
    ) -> None:
        self.under_way: list[Piece] = []
        self._servers = servers
        self._limits = limits
        self._steps_of = steps_of
        self._confirm = confirm
        self._has_confirmed = False

    def open(self) -> None:
        self._bear_faults(self._connect)

    def put(self, rows: Encoded) -> None:
        """Take rows of a piece. Waits while as much is under way as the limits allow, but not for these."""
        while len(self.under_way) >= self._limits.pieces:
            self._advance()
        self.under_way.append(Piece(rows))
        # A fault is met again, and borne, by whoever waits.
        try:
            if self._servers.links:
                self._begin()
                self._turn(0)
        except Interrupted as fault:
            self._drop(fault)

    def flush(self) -> None:
        """Wait until all is confirmed."""
        while self.under_way:
            self._advance()

    def _advance(self) -> None:
        """Wait until a piece is confirmed."""

        def attempt() -> None:
            if not self._servers.links:
                self._connect()
            self._begin()
            while not any(piece.left == 0 for piece in self.under_way):
                self._turn(self._limits.timeout)

        self._bear_faults(attempt)
        self._let_go()

    def _bear_faults(self, attempt: Callable[[], None]) -> None:
        """Try until it is done, or for as long as the patience lasts. Raises OnlineStoreUnavailable."""

        def drop(state: RetryCallState) -> None:
            fault = state.outcome.exception() if state.outcome else None
            assert isinstance(fault, Interrupted)
            self._drop(fault)

        retrying = Retrying(
            retry=retry_if_exception_type(Interrupted),
            wait=wait_exponential_jitter(initial=0.05, max=2.0, jitter=0.1),
            stop=stop_after_delay(self._limits.patience),
            after=drop,
            reraise=True,
        )
        try:
            retrying(attempt)
        except Interrupted as fault:
            raise OnlineStoreUnavailable(f"Redis at {self._servers.address} does not answer: {fault}") from fault

    def _connect(self) -> None:
        self._servers.close()
        self._servers.open(has_confirmed=self._has_confirmed)

    def _drop(self, fault: Interrupted) -> None:
        """Let go of the servers; what was not confirmed will begin anew."""
        self._let_go()
        self._servers.close(demoted=fault.is_demoted)
        for piece in self.under_way:
            piece.left = None
            piece.outcomes.clear()

    def _begin(self) -> None:
        """Begin what has not begun."""
        for piece in self.under_way:
            if piece.left is None:
                routed = self._servers.route(piece.rows)
                piece.left = len(routed)
                for link, rows in routed:
                    self._step(link, piece, self._steps_of(rows), None)

    def _step(self, link: Link, piece: Piece, steps: Steps, replies: list[Any] | None) -> None:
        """Go on with a server's share of a piece, up to its next request or its end."""
        try:
            request = next(steps) if replies is None else steps.send(replies)
        except StopIteration as end:
            assert piece.left
            piece.left -= 1
            piece.outcomes.append(end.value)
        else:
            link.post(Exchange(request, partial(self._step, link, piece, steps)))

    def _turn(self, timeout: float) -> None:
        for exchange in move(list(self._servers.links.values()), timeout):
            self._servers.settle(exchange)
            exchange.then(exchange.replies)

    def _let_go(self) -> None:
        """Confirm the pieces that are done."""
        done = [piece for piece in self.under_way if piece.left == 0]
        self.under_way = [piece for piece in self.under_way if piece.left != 0]
        self._has_confirmed |= bool(done)
        for piece in done:
            self._confirm(piece)
