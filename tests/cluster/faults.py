"""Faults for tests: a PostgreSQL that stops and comes back, and an operator that is killed at one step.

As a script it is that operator: `faults.py MODULE:NAME before|after COUNT` kills itself at the COUNTth call of NAME.
"""

import functools
import inspect
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from featureplane.local.stores import embedded_stores
from featureplane.settings import PostgresAddress, Stores

_WRITER = "featureplane.registry.writer_process"


class Database:
    """A PostgreSQL of a test's own, at one address however often it is stopped and started."""

    def __init__(self) -> None:
        # A short path: the socket then lies beside the data, and its address stays.
        self._folder = Path(tempfile.mkdtemp(prefix="fp-", dir="/tmp"))
        self._running: AbstractContextManager[Stores] | None = None
        self.start()

    def start(self) -> None:
        if self._running is None:
            running = embedded_stores(self._folder, search_path=os.environ["PATH"])
            self.stores = running.__enter__()
            self._running = running

    def stop(self) -> None:
        """Its connections are cut, and what was not committed is lost."""
        if self._running is not None:
            running, self._running = self._running, None
            running.__exit__(None, None, None)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def sql(address: PostgresAddress) -> Iterator[psycopg.Connection]:
    with psycopg.connect(autocommit=True, **address.keywords) as connection:
        yield connection


def rows_of(address: PostgresAddress, project: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row about a project, Feast's and ours, byte for byte."""
    found = {}
    with sql(address) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns "
            "WHERE (table_schema, column_name) IN (('public', 'project_id'), ('featureplane', 'project')) ORDER BY 1, 2"
        ).fetchall()
        for schema, table, column in columns:
            rows = connection.execute(f'SELECT * FROM {schema}."{table}" WHERE {column} = %s', [project]).fetchall()
            found[f"{schema}.{table}"] = sorted(rows, key=repr)
    return found


@contextmanager
def writers_wait(address: PostgresAddress) -> Iterator[None]:
    """Who writes a definition waits in the middle of its transaction, until the block ends or PostgreSQL does."""
    connection = psycopg.connect(**address.keywords)
    connection.execute("LOCK TABLE featureplane.definitions IN SHARE MODE")
    try:
        yield
    finally:
        connection.close()


def is_waiting(address: PostgresAddress) -> bool:
    """Whether an operator's writer waits there."""
    with sql(address) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'featureplane-writer/%%' "
            "AND wait_event_type = 'Lock'",
            [address.dbname],
        ).fetchone()
    return found is not None


def changes(address: PostgresAddress, project: str = "feast") -> list[tuple[int, int]]:
    """Sequence number and epoch of every change of a project, in order."""
    with sql(address) as connection:
        return connection.execute(
            "SELECT seq, epoch FROM featureplane.changes WHERE project = %s ORDER BY seq", [project]
        ).fetchall()


def writers(address: PostgresAddress) -> list[psutil.Process]:
    """The writers' processes of a database."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            if _WRITER in (process.info["cmdline"] or ()) and process.environ().get("PGDATABASE") == address.dbname:
                found.append(process)
    return found


@contextmanager
def staying_alive(url: str) -> Iterator[None]:
    """The operator's liveness probe answers 200 for as long as the block runs."""
    answers: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.2):
            try:
                answers.append(httpx.get(f"{url}/healthz", timeout=15).status_code)
            except httpx.HTTPError as error:
                answers.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
    assert set(answers) == {200}, answers


def run_until_killed(environment: dict[str, str], log: Path, point: tuple[str, str, int]) -> int:
    """Run the operator that is killed at `point`; returns its exit status."""
    from patience import PATIENCE  # not on the path of the script

    with log.open("ab") as output:
        command = [sys.executable, __file__, *map(str, point)]
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            timeout=PATIENCE,
        ).returncode


def _arm(target: str, moment: str, count: int) -> None:
    """Put the kill around a function, wherever it is called from by that name."""
    module, _, names = target.partition(":")
    *path, last = names.split(".")
    holder: Any = functools.reduce(getattr, path, import_module(module))
    real: Callable[..., Any] = getattr(holder, last)
    calls = itertools.count(1)

    def kill(now: str, call: int) -> None:
        if (now, call) == (moment, count):
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(real)
    async def later(*args: Any, **options: Any) -> Any:
        call = next(calls)
        kill("before", call)
        result = await real(*args, **options)
        kill("after", call)
        return result

    @functools.wraps(real)
    def at_once(*args: Any, **options: Any) -> Any:
        call = next(calls)
        kill("before", call)
        result = real(*args, **options)
        kill("after", call)
        return result

    setattr(holder, last, later if inspect.iscoroutinefunction(real) else at_once)


def main() -> None:
    from featureplane.controller.run import run
    from featureplane.settings import OperatorSettings

    target, moment, count = sys.argv[1:]
    _arm(target, moment, int(count))
    run(OperatorSettings.from_env())


if __name__ == "__main__":
    main()
