"""What tests need of the machine, from Debian's packages, and a Debian as an image.

Nothing is downloaded by hand: apt-get installs what a node wants, where we may, debootstrap makes the image, and a
program that is only run is unpacked into the cache folder.
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
    """This machine has not what is needed; the text says what is missing."""


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


def program(name: str, package: str) -> str:
    """Path of a program: on PATH, else of a package that is unpacked and not installed. Raises MachineError."""
    folder = cache_folder() / package
    path = folder / "usr" / "bin" / name
    if found := shutil.which(name) or (str(path) if path.exists() else None):
        return found
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise MachineError(f"there is no {name} on PATH; Debian has it in {package}, and there is no apt-get here")
    _unpack(package, folder)
    return str(path)


def _unpack(package: str, folder: Path) -> None:
    """Into a folder with another name first: one that broke off is never taken for a whole one."""
    unfinished = folder.with_name(f"{package}.{os.getpid()}.unfinished")
    unfinished.mkdir(parents=True)
    try:
        try:
            _run(unfinished, "apt-get", "download", "-qq", package)
        except subprocess.CalledProcessError:
            _run(unfinished, "apt-get", "update", "-qq")
            _run(unfinished, "apt-get", "download", "-qq", package)
        (archive,) = unfinished.glob("*.deb")
        _run(unfinished, "dpkg", "-x", archive.name, ".")
        archive.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MachineError(f"Debian's package {package} cannot be had: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


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
