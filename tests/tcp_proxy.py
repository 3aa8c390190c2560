"""A TCP proxy whose network can break: nothing more gets through, or answers stop in the middle."""

import socket
import threading
from contextlib import suppress
from typing import Self

from featureplane.local.redis_server import HOST
from ports import free_port


class TcpProxy:
    """Passes on what comes to `port`, while it `forwards`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        # Cleared: packets are dropped, as when a cable is pulled; connections are neither closed nor refused.
        self.forwards = threading.Event()
        self.forwards.set()
        # Bytes of answers that get through before the connection is cut; -1: all.
        self.answers_up_to = -1
        self._sockets: list[socket.socket] = []
        self._near: list[socket.socket] = []
        self.mend()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forwards.set()
        self.cut()

    def cut(self) -> None:
        """End all connections and take no more, as when the server has ended."""
        for each in [self._listening, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        """Take connections."""
        self._listening = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def inject(self, answer: bytes) -> None:
        """Say something to all clients."""
        for near in self._near:
            with suppress(OSError):
                near.sendall(answer)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                self.forwards.wait()
                far = socket.create_connection((HOST, self._target))
                self._sockets += [near, far]
                self._near.append(near)
                for pair, is_answer in (((near, far), False), ((far, near), True)):
                    threading.Thread(target=self._pump, args=(*pair, is_answer), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:  # noqa: FBT001 - a thread's
        with suppress(OSError):
            while data := source.recv(65536):
                self.forwards.wait()
                if is_answer and self.answers_up_to >= 0:
                    target.sendall(data[: self.answers_up_to])
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
