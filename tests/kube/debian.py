"""What a whole cluster needs of the machine, from Debian's packages, and a Debian as an image.

Nothing is downloaded by hand: apt-get installs what is missing, where we may, and debootstrap makes the image.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from kube.build import cache_folder, say

SUITE = "bookworm"  # its Python is the one that the project's own image has by default
BASE = f"localhost/featureplane-base:{SUITE}"
_PACKAGES = {
    "buildah": "buildah",
    "containerd": "containerd",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "openssl": "openssl",
    "runc": "runc",
    "unshare": "util-linux",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}


class MachineError(Exception):
    """This machine can be no node; the text says what is missing."""


def prepare() -> None:
    """Have everything on this machine that a node needs. Raises MachineError."""
    if sys.platform != "linux":
        raise MachineError("a node needs Linux; elsewhere start Docker, and the tests use kind")
    if os.geteuid() != 0:
        raise MachineError("a node needs root (namespaces, mounts, cgroups); with Docker running kind is used")
    missing = sorted({package for program, package in _PACKAGES.items() if not shutil.which(program)})
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise MachineError(f"missing: {', '.join(missing)} (so are they called in Debian); there is no apt-get here")
    say(f"Installing {', '.join(missing)}.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", *command], env=environment, check=False, stdout=sys.stderr).returncode:
            raise MachineError(f"apt-get {command[0]} failed; missing: {', '.join(missing)}")


def base_image() -> str:
    """Debian with Python in buildah's store, made now if it is not there. Raises CalledProcessError."""
    found = subprocess.run(["buildah", "images", "--quiet", BASE], check=False, capture_output=True)
    if found.returncode:
        container = _buildah("from", "scratch")
        _buildah("add", "--quiet", container, str(_root()), "/")
        _buildah("config", "--cmd", "bash", container)
        _buildah("commit", "--quiet", "--rm", container, BASE)
    return BASE


def _root() -> Path:
    """The files of a Debian as an archive, in the cache."""
    archive = cache_folder() / "images" / f"{SUITE}.tar"
    if archive.exists():
        return archive
    say(f"Making a Debian {SUITE} with debootstrap, which takes a minute.")
    archive.parent.mkdir(parents=True, exist_ok=True)
    folder, unfinished = archive.with_suffix(".folder"), archive.with_suffix(".unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    include = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(
        ["debootstrap", "--variant=minbase", include, SUITE, str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    for what in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(folder / what)
        (folder / what / "partial").mkdir(parents=True)
    subprocess.run(["tar", "-C", str(folder), "--numeric-owner", "-cf", str(unfinished), "."], check=True)
    unfinished.rename(archive)
    shutil.rmtree(folder)
    return archive


def _buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
