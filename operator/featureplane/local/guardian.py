"""The process that owns the embedded servers. Started by `stores`, which calls `main` in a new interpreter.

It starts PostgreSQL and Redis, writes one line of JSON to its standard output (see `record`) and lives as long as its
standard input stays open: a pipe whose other end the parent holds, so that it closes however the parent ends. SIGTERM
is the same as its end. The guardian has a session of its own; a Ctrl-C in the parent's terminal does not reach it, and
the stores outlive the parent's last statements. When a server ends on its own, a second line says so.

The guardian inherits the folder's lock from its parent and holds it until both servers have ended.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from featureplane.errors import LocalStoreError
from featureplane.local import postgres_server, record, redis_server
from featureplane.local.supervisor import ParentEnded, Supervisor
from featureplane.settings import Stores

RECORD = "stores.json"
START_SECONDS = 50.0


@dataclass(frozen=True)
class Task:
    """What the parent decided: where, with which programs, and whether the data stay."""

    folder: str
    postgres_binaries: str
    redis_server: str
    keep: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


def server_environment(environ: dict[str, str]) -> dict[str, str]:
    """The servers' environment: ours without libpq's and PostgreSQL's own variables, with messages in English."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("PG", "FEATUREPLANE_"))}
    return {**kept, "LC_ALL": "C"}


def guard(task: Task) -> None:
    """Start both servers, report them, and end them again when the parent ends."""
    folder = Path(task.folder)
    supervisor = Supervisor(server_environment(dict(os.environ)), time.monotonic() + START_SECONDS)
    if not task.keep:
        supervisor.remove_at_end(folder)
    try:
        redis_address = redis_server.start(supervisor, Path(task.redis_server), folder, keep=task.keep)
        postgres = postgres_server.start(supervisor, Path(task.postgres_binaries), folder, keep=task.keep)
        stores = Stores(postgres, redis_address())
        record.publish(folder / RECORD, stores)
        _report(record.encode(stores))
        supervisor.watch()
    except ParentEnded:
        pass
    except LocalStoreError as error:
        _report(record.encode_error(str(error)))
    except OSError as error:
        _report(record.encode_error(f"the embedded stores cannot work in {folder}: {error}"))
    finally:
        with suppress(OSError):
            (folder / RECORD).unlink()  # who comes now waits for the lock
        supervisor.stop()


def _report(line: str) -> None:
    with suppress(BrokenPipeError):  # the parent is gone
        os.write(sys.stdout.fileno(), f"{line}\n".encode())


def main(argument: str) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a signal that our parent blocks would never reach a server
    os.umask(0o077)
    os.chdir("/")
    guard(Task.from_json(argument))
