"""Redis servers of a test's own: on the loopback interface, on a free port that stays theirs, ended by their pid."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis, RedisError, ResponseError

from featureplane.local.redis_server import HOST, find_server
from featureplane.settings import RedisAddress
from patience import until
from ports import free_port

PASSWORD = "p@ss, w:rd=/'\"%é"


def server_binary() -> Path:
    return find_server(os.environ.get("PATH", os.defpath))


class RedisProcess:
    """A server in a folder, with these settings of redis.conf."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, port: int = 0, kind: str = "") -> None:
        self.port = port or free_port()
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kind = kind
        self.settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(folder),
            "save": '""',
            "requirepass": _quoted(PASSWORD),
            **(settings or {}),
        }
        if kind == "--sentinel":
            del self.settings["save"], self.settings["dir"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> "RedisProcess":
        config = self.folder / "redis.conf"
        if not (self._kind and config.exists()):
            config.write_text("".join(f"{name} {value}\n" for name, value in self.settings.items() if name))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [server_binary(), str(config), *([self._kind] if self._kind else [])], stdout=log, stderr=log
            )
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        until(self._answers, what=self._log, passing=(RedisError, OSError))

    def _answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise RuntimeError(self._log())
        with self.client() as client:
            return bool(client.ping())

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-2000:]

    def client(self, **more: Any) -> Redis:
        return Redis(host=HOST, port=self.port, **{"password": PASSWORD, **more})

    @property
    def address(self) -> RedisAddress:
        return RedisAddress(HOST, self.port, password=PASSWORD)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def forget(self) -> None:
        """Remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def fields_expire(client: Redis) -> bool:
    """Whether the server is one of Redis 7.4, Valkey 9 or later."""
    try:
        client.execute_command("HPEXPIRETIME", "none", "FIELDS", 1, "none")
    except ResponseError:
        return False
    return True


def cleared(client: Redis) -> Redis:
    with suppress(RedisError):
        client.config_set("maxmemory", 0)
    client.flushall()
    return client
