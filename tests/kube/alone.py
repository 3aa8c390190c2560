"""Run a command in namespaces of its own: network, mounts, processes. Stands alone: run as root, as a script.

    python alone.py FOLDER COMMAND...

A node changes much of the machine that it runs on: bridges, routes, hundreds of iptables rules, mounts, and processes
that are nobody's children. In here all of that is the kernel's to take away, the moment that the command ends or is
killed. FOLDER is emptied first and holds what the command writes; the number of the process to enter from outside is in
FOLDER/pid:

    nsenter --target "$(cat FOLDER/pid)" --net --mount --pid COMMAND...
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NODE_ADDRESS = "10.77.0.1"
_SELF = Path(__file__).resolve()
# Where Kubernetes and containerd write whatever they are told, and others of their kind have theirs.
_HIDDEN = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")
_CGROUPS = Path("/sys/fs/cgroup")
_OURS = ("kubepods", "k8s.io")
_INSIDE = "--inside"


class InUseError(Exception):
    """Another run has the folder."""


def outside(folder: Path, command: list[str], environment: Mapping[str, str] | None = None) -> int:
    """Run the command in there, and clean up what a namespace does not hold. Raises InUseError."""
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"another run is using {folder}: wait for it, or end it") from error
        before = _cgroups_before(folder)
        shutil.rmtree(folder)
        folder.mkdir(mode=0o755)
        namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
        with subprocess.Popen(
            # Whoever kills us kills unshare, which takes the first process in there with it, and that everything.
            [
                "setpriv",
                "--pdeathsig=KILL",
                "unshare",
                *namespaces,
                sys.executable,
                "-I",
                "-S",
                str(_SELF),
                _INSIDE,
                str(folder),
                *command,
            ],
            env=environment,
        ) as process:
            first = _child(process.pid)
            for number in (signal.SIGTERM, signal.SIGINT):  # unshare itself hears neither; we clean up when it ends
                signal.signal(number, lambda received, _: os.kill(first, received))
            (folder / "pid").write_text(f"{first}\n")
            code = process.wait()
        _remove_cgroups(folder, before)
        return code if code >= 0 else 128 - code


def _child(pid: int) -> int:
    """The process that it started, as soon as it did."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := path.read_text().split()):
        os.sched_yield()
    return int(found[0])


def _cgroups_before(folder: Path) -> set[Path]:
    """Those that are not ours, written down for the next run: one that was killed has not cleaned up."""
    known = _list_of_cgroups(folder)
    if known.exists():
        _remove_cgroups(folder, {Path(line) for line in known.read_text().splitlines()})
    before = cgroups()
    known.write_text("".join(f"{path}\n" for path in before))
    return before


def _remove_cgroups(folder: Path, before: set[Path]) -> None:
    """All that came since, and are empty: the kernel keeps those in which somebody runs."""
    for path in sorted(cgroups() - before, reverse=True):  # what lies deeper first
        with suppress(OSError):
            path.rmdir()
    _list_of_cgroups(folder).unlink(missing_ok=True)


def _list_of_cgroups(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.cgroups")


def cgroups() -> set[Path]:
    """Of pods and containers, of whatever kubelet."""
    roots = [path for name in _OURS for path in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")) if path.is_dir()]
    return {path for root in roots for path in (root, *(each for each in root.rglob("*") if each.is_dir()))}


def inside(command: list[str]) -> int:
    """The first process in there: makes the network and the mounts, and collects whoever nobody waits for."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the first process hears no signal that it has no handler for
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    _run("mount", "--make-rshared", "/")  # volumes of pods are mounted here and must be seen in their containers
    for path in _HIDDEN:
        Path(path).mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "featureplane", path)
    Path("/run/lock").mkdir(mode=0o1777)
    _run("ip", "link", "set", "lo", "up")
    # A bridge that nothing is plugged into holds the node's address; a default route, for without one the way to the
    # addresses of Services ends before the rules that translate them.
    _run("ip", "link", "add", "node", "type", "bridge")
    _run("ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", "node")
    _run("ip", "link", "set", "node", "up")
    _run("ip", "route", "add", "default", "dev", "node")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> int:
    if sys.argv[1] == _INSIDE:
        code = inside(sys.argv[3:])
        return code if code >= 0 else 128 - code
    try:
        return outside(Path(sys.argv[1]).resolve(), sys.argv[2:])
    except InUseError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
