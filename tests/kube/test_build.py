"""The cache of the built program, without building it: a compiler that writes a file takes Go's place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kube import build
from kube.toolchain import BuildError
from patience import PATIENCE

FAKE_GO = """\
#!/bin/sh
case "$1" in
  env) echo go1.99.0 ;;
  list) echo one ;;
  build)
    echo built >> "$BUILDS"
    sleep 0.3
    [ -z "$FAIL" ] || { echo "no module found"; exit 1; }
    while [ "$1" != -o ]; do shift; done
    echo program > "$2" ;;
esac
"""


@pytest.fixture
def builds(tmp_path, monkeypatch) -> Path:
    """A file with one line for each build."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").write_text(FAKE_GO)
    (tmp_path / "bin" / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("FEATUREPLANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    return tmp_path / "builds"


def test_two_at_once_build_one(builds):
    command = [sys.executable, build.__file__]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert {stdout for stdout, _ in outputs} == {f"{build.program_path()}\n"}
    assert builds.read_text() == "built\n"


def test_a_build_that_failed_says_why_and_leaves_nothing(builds, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(BuildError, match="no module found"):
        build.binary()
    assert [path.name for path in build.program_path().parent.iterdir()] == ["lock"]
    monkeypatch.delenv("FAIL")
    assert build.binary().read_text() == "program\n"


def test_other_sources_are_another_program(builds, monkeypatch, tmp_path):
    before = build.program_path()
    module = tmp_path / build.MODULE.name
    module.mkdir()
    for name in build.SOURCES:
        (module / name).write_bytes((build.MODULE / name).read_bytes())
    monkeypatch.setattr(build, "MODULE", module)
    assert build.program_path() == before
    (module / "main.go").write_text("package main\n")
    assert build.program_path() != before


def test_a_folder_that_cannot_be_is_explained(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEATUREPLANE_CACHE", str(tmp_path / "file"))
    with pytest.raises(BuildError, match="cannot be built in"):
        build.binary()
