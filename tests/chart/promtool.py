"""Prometheus' own tool for rules: from PATH, else Debian's, unpacked into the cache folder. No server is run."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube.debian import MachineError, program


def promtool() -> str:
    """Its path; skips the test where it is not to be had."""
    try:
        return program("promtool", "prometheus")
    except MachineError as error:
        pytest.skip(f"{error}; install Prometheus")


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
