"""Accepts who connects to a server that speaks TLS, and lets him agree on its keys for some seconds.

uvloop's own server waits for that 60 s, and for any number of clients; they are no connections of HTTP by then, so that
nothing else ends or counts them.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

# As gRPC's server has it (h2corn, `timeout_handshake`).
HANDSHAKE_SECONDS = 5.0
# At once, of one worker. A handshake takes it about a millisecond, so that more would not come to their end.
MOST_HANDSHAKES = 2_000
# Where the process has no file for another connection; what comes meanwhile waits in the kernel.
_PAUSE_SECONDS = 0.1


class Handshakes:
    """A server as uvicorn has them. `connection` makes the protocol of each client; the socket is its caller's."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        connection: Callable[[], asyncio.Protocol],
        backlog: int,
    ) -> None:
        self._listening = listening
        self._context = context
        self._connection = connection
        self._under_way: set[asyncio.Task[None]] = set()
        listening.setblocking(False)
        listening.listen(backlog)
        self._accepting = asyncio.create_task(self._accept(), name="handshakes")

    def close(self) -> None:
        """Accept nobody any more; who has been accepted may go on."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if len(self._under_way) >= MOST_HANDSHAKES:
                accepted.close()
                continue
            agreeing = asyncio.create_task(self._agree(accepted))
            self._under_way.add(agreeing)
            agreeing.add_done_callback(self._under_way.discard)

    async def _agree(self, accepted: socket.socket) -> None:
        with suppress(OSError):  # also those of TLS, and of the time
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection, accepted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
