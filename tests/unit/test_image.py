"""tools/image.py: which program builds the image, and with what."""

import importlib.util
import stat
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "image.py"
_SPEC = importlib.util.spec_from_file_location("image", _SCRIPT)
image = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(image)


@pytest.fixture
def path(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path: Path, name: str, code: int) -> None:
    (path / name).write_text(f"#!/bin/sh\nexit {code}\n")
    (path / name).chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("codes", "chosen"),
    [
        ({"docker": 0, "podman": 0, "buildah": 0}, "docker"),
        ({"docker": 1, "podman": 0}, "podman"),  # a client without its engine
        ({"docker": 1, "buildah": 0}, "buildah"),
    ],
)
def test_the_first_that_works_builds(path, codes, chosen):
    for name, code in codes.items():
        program(path, name, code)
    assert image.builder() == chosen


def test_without_any_it_says_which_would_do(path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["image.py"])
    assert image.main() == 2
    assert "apt-get install buildah" in capsys.readouterr().err


def test_what_is_lent_is_no_argument(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").touch()
    command = image.command("buildah", "fp:1", "debian:12")
    assert f"--secret=id=pip,src={tmp_path / 'pip.conf'}" in command
    assert "--build-arg=BASE_IMAGE=debian:12" in command
    assert not any("pip.conf" in argument for argument in command if argument.startswith("--build-arg"))
