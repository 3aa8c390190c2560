"""A server that outlived its guardian: found by its pid file, recognized by its working folder, and ended.

Called by the owner of a folder's lock before it starts servers there: any that still runs has lost its guardian. On
Linux it is already on its way out (see `account.before_exec`), and this only waits for it.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from featureplane.errors import LocalStoreError
from featureplane.local.supervisor import Ladder

_PROC = Path("/proc/self/cwd").exists()


def end_leftover(name: str, pid_file: Path, folder: Path, ladder: Ladder) -> None:
    """End the server that `pid_file` names if it works in `folder`, and remove the file; another process is left alone.

    The pid in a file that a crash left may by now be anyone's; PostgreSQL would then refuse to start, or worse be
    mistaken for running.
    """
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    for number, patience in ladder:
        if not _works_in(pid, folder):
            break
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + patience
        while _works_in(pid, folder) and time.monotonic() < until:
            time.sleep(0.02)
    if _works_in(pid, folder):
        raise LocalStoreError(
            f"{name} of an earlier run still works in {folder} and cannot be ended: kill process {pid}"
        )
    pid_file.unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        os.kill(pid, 0)
        if _PROC:
            return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:  # it is gone, a zombie, or another user's
        return False
    command = ["/usr/sbin/lsof", "-a", "-p", str(pid), "-d", "cwd", "-F", "n"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a constant and a number
    return f"n{folder}" in result.stdout.splitlines()
