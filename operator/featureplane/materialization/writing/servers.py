"""The servers that take the rows: connected, told our scripts, recognized again after a fault, and each with its rows.

One server, a Sentinel group's master, or the primaries of a Cluster, among which rows go by slot.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import hiredis
import numpy as np
from redis.exceptions import NoPermissionError, NoScriptError

from featureplane.errors import ServerReplaced
from featureplane.materialization.encoding.encoded import Encoded
from featureplane.materialization.writing import connection
from featureplane.materialization.writing.connection import ask, explained
from featureplane.materialization.writing.exchange import Exchange
from featureplane.materialization.writing.faults import Interrupted, of_reply
from featureplane.materialization.writing.identity import Identity
from featureplane.materialization.writing.link import Link
from featureplane.materialization.writing.selection import take
from featureplane.materialization.writing.slots import slots_of
from featureplane.online.scripts import Script
from featureplane.online.slots import SLOTS
from featureplane.settings import RedisAddress


class Servers:
    """Open while there are `links`, by the names of their nodes. `timeout` is in seconds, for each wait.

    Each is told the scripts to have `loaded`, and asked whether fields can expire if `asks_expiry`.
    """

    def __init__(self, address: RedisAddress, timeout: float, loaded: Sequence[Script], *, asks_expiry: bool) -> None:
        self.address = address
        self.is_cluster = address.mode == "Cluster"
        self.links: dict[str, Link] = {}
        self._timeout = timeout
        self._loaded = loaded
        self._asks_expiry = asks_expiry
        self._client: Any = None
        # By their processes: who confirmed rows, and who answers since the last `open`.
        self._trusted: dict[str, Identity] = {}
        self._found: dict[str, Identity] = {}
        self._can_expire: dict[str, bool] = {}
        self._was_demoted = False
        self._nodes: list[str] = []
        self._node_of_slot = np.zeros(SLOTS, np.int64)
        self._is_moved = False

    def open(self, *, has_confirmed: bool) -> None:
        """Connect to all. Raises Interrupted, and ServerReplaced where confirmed rows may be gone."""
        self._found = {}
        with explained(self.address):
            self._client = connection.client_for(self.address, self._timeout)
            self._open_new()
        if has_confirmed:
            self._recognize()
        self._trusted = self._found  # nodes that join later are in both
        self._was_demoted = False

    def close(self, *, demoted: bool = False) -> None:
        """Drop every connection, with what is under way on it."""
        self._was_demoted |= demoted
        for link in self.links.values():
            link.close()
        self.links.clear()
        if self._client is not None:
            with suppress(Exception):
                self._client.close()
            self._client = None

    @property
    def has_field_expiry(self) -> bool:
        """Whether fields of hashes can expire, on all of them."""
        return bool(self._can_expire) and all(self._can_expire.values())

    def route(self, rows: Encoded) -> list[tuple[Link, Encoded]]:
        """The rows of each server."""
        if not self.is_cluster:
            return [(link, rows) for link in self.links.values()]
        if self._is_moved:
            with explained(self.address):
                connection.refresh(self._client)
                self._open_new()
            self._is_moved = False
        nodes = self._node_of_slot[slots_of(rows.keys)]
        if (nodes < 0).any():
            self._is_moved = True
            raise Interrupted("no node of the cluster has the slot of a row")
        return [(self.links[self._nodes[node]], take(rows, np.flatnonzero(nodes == node))) for node in np.unique(nodes)]

    def settle(self, exchange: Exchange) -> None:
        """Raise what the replies refuse. Commands that a Cluster's node sends elsewhere are done there."""
        if not exchange.failed:
            return
        for index, reply in enumerate(exchange.replies):
            if not isinstance(reply, hiredis.ReplyError):
                continue
            text = str(reply)
            if not (self.is_cluster and text.startswith(("MOVED ", "ASK "))):
                raise of_reply(text, self.address)
            self._is_moved |= text.startswith("MOVED ")
            exchange.replies[index] = self._elsewhere(*exchange.request.command(index))

    def _elsewhere(self, commands: bytes, which: int) -> Any:
        """Have redis-py, which follows redirections, do one command of a row."""
        reader = hiredis.Reader()
        reader.feed(commands)
        name, *words = [reader.gets() for _ in range(which + 1)][-1]
        with explained(self.address):
            try:
                return self._client.execute_command(name.decode(), *words)
            except NoScriptError:  # a node that has no slot yet was not told
                script = next(script for script in self._loaded if script.sha == words[0])
                return self._client.execute_command("EVAL", script.text, *words[1:])

    def _open_new(self) -> None:
        """Connect to the servers that there is no link to."""
        nodes = connection.cluster_nodes(self._client) if self.is_cluster else {"": self._client}
        for name, client in nodes.items():
            if name not in self.links:
                self.links[name] = self._link(name, client)
        if self.is_cluster:
            owners = connection.owners(self._client)
            self._nodes = sorted(nodes)
            index = {name: number for number, name in enumerate(self._nodes)}
            self._node_of_slot = np.array([index.get(owners.get(slot, ""), -1) for slot in range(SLOTS)])

    def _link(self, name: str, client: Any) -> Link:
        made = connection.dial(client)
        try:
            try:
                identity = Identity.read(ask(made, "INFO"))
            except NoPermissionError:
                identity = Identity()
            for script in self._loaded:
                ask(made, "SCRIPT", "LOAD", script.text)
            if self._asks_expiry:
                self._can_expire[name] = ask(made, "COMMAND", "INFO", "HPEXPIREAT")[0] is not None
        except BaseException:
            made.disconnect()
            raise
        self._found[identity.process] = identity
        return Link(name, made)

    def _recognize(self) -> None:
        """Raise ServerReplaced unless all that confirmed rows are here, and still have them."""
        for process, before in self._trusted.items():
            now = self._found.get(process)
            if now is None or not now.is_known or (self._was_demoted and not now.continues(before)):
                reason = "is another one than before" if now is None else "may have lost rows that it confirmed"
                raise ServerReplaced(f"the server of Redis at {self.address} {reason}; the copy has to begin anew")
