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


def test_an_apt_get_that_fails_is_named(bare):
    (bare / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    (bare / "apt-get").chmod(0o700)
    with pytest.raises(MachineError, match="apt-get update failed; missing: buildah"):
        debian.prepare()
