"""Released versions of Feast's SDK, each in a virtual environment of its own in the cache folder."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from kube.build import cache_folder

# What is installed for each version. 0.39 is the first with a remote online store; the version that we pin is tested
# in tests/feast. grpcio is for the remote registry and the stubs. The pins beside it keep away what came later and that
# Feast did not bound: the newest pyarrow wants numpy 2, which Feast 0.39 refuses, and setuptools 81 has no
# pkg_resources.
VERSIONS: dict[str, tuple[str, ...]] = {
    "0.39.0": ("feast[grpcio]==0.39.0", "pyarrow<18", "setuptools<81"),
    "0.50.0": ("feast[grpcio]==0.50.0", "setuptools<81"),
    "0.66.0": ("feast[grpcio]==0.66.0",),
}
_PATIENCE = 300


def python_with(version: str) -> Path:
    """The interpreter of the environment with this version, which is made when it is not there (about 600 MB)."""
    wanted = VERSIONS[version]
    name = hashlib.sha256("\0".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = cache_folder() / "feast-sdk" / f"{version}-{name}"
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


def _install(folder: Path, wanted: tuple[str, ...]) -> None:
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
