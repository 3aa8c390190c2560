"""Prometheus' own tool for rules: from PATH, else Debian's, unpacked into the cache folder. No server is run."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube.build import cache_folder


def promtool() -> str:
    """Its path; skips the test where it is not to be had."""
    folder = cache_folder() / "prometheus"
    unpacked = folder / "usr" / "bin" / "promtool"
    if found := shutil.which("promtool") or (str(unpacked) if unpacked.exists() else None):
        return found
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip("there is no promtool; install Prometheus")
    _unpack(folder)
    return str(unpacked)


def _unpack(folder: Path) -> None:
    """Into a folder with another name first: one that broke off is never taken for a whole one."""
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.unfinished")
    unfinished.mkdir(parents=True)
    try:
        try:
            _run(unfinished, "apt-get", "download", "-qq", "prometheus")
        except subprocess.CalledProcessError:
            _run(unfinished, "apt-get", "update", "-qq")
            _run(unfinished, "apt-get", "download", "-qq", "prometheus")
        (package,) = unfinished.glob("*.deb")
        _run(unfinished, "dpkg", "-x", package.name, ".")
        package.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"there is no promtool, and Debian's cannot be had ({error}); install Prometheus")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def check(folder: Path, groups: list[Any]) -> None:
    """That Prometheus takes these groups of rules."""
    _tell(folder, "check", "rules", _written(folder / "rules.yaml", {"groups": groups}))


def run_tests(folder: Path, groups: list[Any], tests: list[Mapping[str, Any]]) -> None:
    rules = _written(folder / "rules.yaml", {"groups": groups})
    content = {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}
    _tell(folder, "test", "rules", _written(folder / "tests.yaml", content))


def _written(path: Path, content: Any) -> str:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def _tell(folder: Path, *arguments: str) -> None:
    command = [promtool(), *arguments]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
