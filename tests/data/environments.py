"""Python environments with packages that ours cannot hold beside its own, made once, in the cache folder."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from kube.build import cache_folder

# For packages of several hundred MB, on a machine that does many other things; usually it takes one or two minutes.
_PATIENCE = 1500


def python_of(name: str, requirements: Path) -> Path:
    """The interpreter of an environment with what this file pins, and with nothing else."""
    return _python(f"python/{name}", [requirements.read_text()], ["--require-hashes", "-r", str(requirements)])


def python_with(name: str, packages: Sequence[str]) -> Path:
    """The interpreter of an environment with these packages, and what they ask for."""
    return _python(name, packages, packages)


def _python(name: str, identity: Sequence[str], wanted: Sequence[str]) -> Path:
    """Made when there is none of this identity."""
    digest = hashlib.sha256("\0".join([sys.version, *identity]).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Made in place, since an environment cannot be moved; this file says that it was made to the end.
        made = folder / "made"
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(folder, wanted)
            made.touch()
    return folder / "bin" / "python"


def _install(folder: Path, wanted: Sequence[str]) -> None:
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted]
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as slow:
        raise RuntimeError(f"pip did not install {' '.join(wanted)} within {_PATIENCE} s") from slow
    if ran.returncode:
        raise RuntimeError(f"pip cannot install {' '.join(wanted)}: {ran.stderr[-2000:]}")
