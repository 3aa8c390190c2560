"""A machine that can be no node says so, and what would help."""

import pytest

from kube import debian
from kube.debian import MachineError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Nothing is installed, and we are root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path


def test_elsewhere_than_on_linux(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(MachineError, match="needs Linux; elsewhere start Docker"):
        debian.prepare()


def test_not_as_root(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="needs root"):
        debian.prepare()


def test_without_apt_get_what_is_missing_is_named(bare):
    with pytest.raises(MachineError, match=r"missing: buildah, containerd, .*runc"):
        debian.prepare()


def test_a_program_that_is_nowhere_is_named_with_its_package(bare, monkeypatch):
    monkeypatch.setenv("FEATUREPLANE_CACHE", str(bare / "cache"))
    with pytest.raises(MachineError, match="no promtool on PATH; Debian has it in prometheus"):
        debian.program("promtool", "prometheus")


def test_a_package_that_cannot_be_had_leaves_nothing(bare, monkeypatch):
    monkeypatch.setenv("FEATUREPLANE_CACHE", str(bare / "cache"))
    for name in ("apt-get", "dpkg"):
        (bare / name).write_text("#!/bin/sh\nexit 100\n")
        (bare / name).chmod(0o700)
    with pytest.raises(MachineError, match="package prometheus cannot be had"):
        debian.program("promtool", "prometheus")
    assert list((bare / "cache").iterdir()) == []


def test_an_apt_get_that_fails_is_named(bare):
    (bare / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    (bare / "apt-get").chmod(0o700)
    with pytest.raises(MachineError, match="apt-get update failed; missing: buildah"):
        debian.prepare()
