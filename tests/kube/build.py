"""Build the program of `controlplane/` or `node/` once, into a cache folder: `binary()`, or run this file.

Compiled because nothing that installs with pip has an API server in it, and an image needs Docker. The cache is named
by what the program is made of, so a new version of Kubernetes is a new folder and an old checkout finds its own again.
"""

import fcntl
import hashlib
import os
import platform
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":  # as a script: what is next to us is found the way that pytest finds it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kube.toolchain import BuildError, find_go, go_environment

# A Go module each; its program has the folder's name.
MODULE = Path(__file__).resolve().parent / "controlplane"
NODE = MODULE.with_name("node")
SOURCES = ("go.mod", "go.sum", "main.go")
_PROGRESS_SECONDS = 20.0
_LAST_LINES = 20
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def say(text: str) -> None:
    """To standard error, for who runs this reads a path from standard output."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def cache_folder() -> Path:
    if own := os.environ.get("FEATUREPLANE_CACHE"):
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).absolute() if base else Path.home() / ".cache") / "featureplane"


def target() -> tuple[str, str]:
    """GOOS and GOARCH of this machine."""
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in {"linux", "darwin"} or machine not in _ARCHITECTURES:
        raise BuildError(
            f"Kubernetes' control plane is for Linux and macOS, amd64 and arm64; this is {system} {machine}"
        )
    return system, _ARCHITECTURES[machine]


def kubernetes_version(module: Path | None = None) -> str:
    """The version that go.mod asks for, such as v1.35.4."""
    go_mod = (module or MODULE) / "go.mod"
    found = re.search(r"^\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise BuildError(f"{go_mod} names no version of k8s.io/kubernetes")
    return found[1]


def build_flags(module: Path | None = None) -> list[str]:
    """Without these the API server calls itself v0.0.0-master, and clients that look at its version are misled."""
    version = kubernetes_version(module)
    major, minor, _ = version.removeprefix("v").split(".")
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamped = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamp.items())
    return ["-trimpath", "-mod=readonly", f"-ldflags=-s -w {stamped}"]


def program_path(module: Path | None = None) -> Path:
    """Where the program is or will be."""
    module = module or MODULE
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update((module / name).read_bytes() + b"\0")
    digest.update("\0".join([*target(), *build_flags(module)]).encode())
    return cache_folder() / "kube" / digest.hexdigest()[:16] / module.name


def binary(module: Path | None = None) -> Path:
    """The program of a module, the control plane's without one; built now if it was not yet. Raises BuildError."""
    module = module or MODULE
    program = program_path(module)
    if program.exists():
        return program
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with _locked(program.parent / "lock"):
            if not program.exists():
                _build(module, program)
    except OSError as error:
        raise BuildError(f"Kubernetes' {module.name} cannot be built in {program.parent}: {error}") from error
    return program


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time; who comes second finds the program made."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is building in {path.parent}; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(module: Path, program: Path) -> None:
    started = time.monotonic()
    go = find_go(cache_folder(), module / "go.mod", say)
    say(f"Building Kubernetes {kubernetes_version(module)}'s {module.name} into {program.parent} with {go}.")
    say("The first time takes 7 to 10 minutes on two cores and 3 GB in Go's own caches; after that nothing is built.")
    system, architecture = target()
    environment = {**go_environment(), "GOOS": system, "GOARCH": architecture, "CGO_ENABLED": "0"}
    unfinished = program.with_name(f"{program.name}.{os.getpid()}.unfinished")
    for other in program.parent.glob("*.unfinished"):  # of a build that was killed: the lock is ours
        other.unlink()
    try:
        listed = _run([str(go), "list", "-deps", *build_flags(module)[:2], "."], module, environment, lambda _: None)
        total = sum(not line.startswith("go: ") for line in listed)  # which is a module that it fetches
        _run(
            [str(go), "build", "-v", *build_flags(module), "-o", str(unfinished), "."],
            module,
            environment,
            _Progress(total, started).line,
        )
        unfinished.rename(program)
    finally:
        unfinished.unlink(missing_ok=True)
    say(f"Built {program} in {time.monotonic() - started:.0f} s, {program.stat().st_size / 1e6:.0f} MB.")


class _Progress:
    """A line every now and then: ten silent minutes look like a hang. With -v Go names each package on a line."""

    def __init__(self, total: int, started: float) -> None:
        self._total, self._started = total, started
        self._built, self._said = 0, started

    def line(self, text: str) -> None:
        if text.startswith("go: "):
            return
        self._built += 1
        now = time.monotonic()
        if now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            say(f"  {now - self._started:4.0f} s: {self._built} of at most {self._total} packages")


def _run(command: list[str], module: Path, environment: dict[str, str], each: Callable[[str], None]) -> list[str]:
    """Run Go in the module's folder and hand on each line that it prints."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    lines = []
    with subprocess.Popen(
        command,
        cwd=module,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            line = text.rstrip()
            last.append(line)
            lines.append(line)
            each(line)
    if process.returncode:
        said = "\n".join(f"    {line}" for line in last)
        raise BuildError(
            f"{' '.join(command[:2])} in {module} failed with code {process.returncode}; it needs Go's module proxy or "
            f"a filled module cache (GOPROXY, GOFLAGS). The last it said:\n{said}",
        )
    return lines


def main() -> int:
    """Without arguments the control plane; `node` for what makes this machine a node."""
    try:
        path = binary(NODE if sys.argv[1:] == ["node"] else MODULE)
    except BuildError as error:
        say(f"error: {error}")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
