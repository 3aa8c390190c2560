"""uvicorn's server, looking after its connections, and ending without a request that finds nobody.

A client that keeps its connection may be sending its next request just when an idle connection is closed. So a server
that is told to end first goes on for a moment, and lets each answer say that it is the last of its connection.
"""

import asyncio
import socket
from typing import Any

import uvicorn

from featureplane.serving.child import PARENT_ENDED
from featureplane.serving.http.connection import Connection
from featureplane.serving.http.handshakes import Handshakes
from featureplane.serving.http.lane import Lane
from featureplane.serving.http.patience import State
from featureplane.serving.turning_away import take_no_more

# Seconds for clients to learn with an answer that they need another connection; those that ask for nothing in this time
# are closed. And without any connection, until nobody can have been on his way to this one.
LAST_ANSWERS_SECONDS = 2.0
_QUIET_SECONDS = 0.2
_LOOK_SECONDS = 0.05
# For accepting what is connected already.
_ACCEPTING_SECONDS = 0.1
_TICKS = 10


class DrainingServer(uvicorn.Server):
    """See the module; its `config` has `http=Connection`, and `ssl` where it is to speak TLS, on sockets alone."""

    def __init__(self, config: uvicorn.Config, lane: Lane | None = None) -> None:
        super().__init__(config)
        self.server_state: State = State()
        self.server_state.lane = lane

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        if self.config.ssl is None:
            await super().startup(sockets)
            return
        servers: list[Any] = [
            Handshakes(each, self.config.ssl, self._connection, self.config.backlog) for each in sockets or []
        ]
        self.servers = servers
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Every 0.1 s, says uvicorn."""
        if counter % _TICKS == 0:
            self._look()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let clients go, stop listening, and finish the requests that are there."""
        self.server_state.is_draining = True
        for connection in self._connections():
            if connection.cycle is not None and not connection.cycle.response_started:
                connection.cycle.keep_alive = False
        await self._last_answers()
        if PARENT_ENDED.is_set():  # else other workers take whoever comes to this socket
            for listening in sockets or []:
                take_no_more(listening)
            await asyncio.sleep(_ACCEPTING_SECONDS)
        await super().shutdown(sockets)

    async def _last_answers(self) -> None:
        loop = asyncio.get_running_loop()
        begun = quiet_since = loop.time()
        while loop.time() - begun < LAST_ANSWERS_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.server_state.connections:
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= _QUIET_SECONDS:
                return

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self.server_state.unread = sum(connection.look(now) for connection in self._connections())

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, app_state={})

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]
