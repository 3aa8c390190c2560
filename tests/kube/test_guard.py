"""The guard: a test never touches a cluster that was not made or named for it."""

import json
from pathlib import Path

import pytest

from kube.guard import CONTEXT_VARIABLE, FILE_VARIABLE, GuardError, named_cluster, test_kubeconfig

TWO = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {"name": "dev", "cluster": {"server": "https://dev.example", "certificate-authority": "ca.crt"}},
        {"name": "production", "cluster": {"server": "https://production.example"}},
    ],
    "users": [{"name": "me", "user": {"token": "secret"}}],
    "contexts": [
        {"name": "dev", "context": {"cluster": "dev", "user": "me"}},
        {"name": "production", "context": {"cluster": "production", "user": "me"}},
    ],
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / ".kube" / "config"))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(json.dumps({**TWO, "current-context": "production"}))
    (tmp_path / "two").write_text(json.dumps(TWO))
    return tmp_path


def test_the_users_own_file_counts_for_nothing(home):
    assert named_cluster({"KUBECONFIG": str(home / ".kube" / "config")}) is None


def test_the_users_own_file_is_refused_by_name_and_by_link(home):
    (home / "link").symlink_to(home / ".kube" / "config")
    for path in (home / ".kube" / "config", home / "link"):
        with pytest.raises(GuardError, match="tests never use it"):
            named_cluster({FILE_VARIABLE: str(path), CONTEXT_VARIABLE: "dev"})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({CONTEXT_VARIABLE: "dev"}, "without FEATUREPLANE_TEST_KUBECONFIG"),
        ({FILE_VARIABLE: "{home}/missing"}, "cannot be read"),
        ({FILE_VARIABLE: "{home}/two"}, "no current-context"),
        ({FILE_VARIABLE: "{home}/two", CONTEXT_VARIABLE: "staging"}, "no 'staging'; its contexts: dev, production"),
    ],
)
def test_what_is_not_clear_is_refused(home, environ, message):
    with pytest.raises(GuardError, match=message):
        named_cluster({name: value.format(home=home) for name, value in environ.items()})


def test_only_the_named_context_is_handed_on(home, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(home / "two"))
    monkeypatch.setenv(CONTEXT_VARIABLE, "dev")
    with test_kubeconfig() as cluster:
        text = cluster.kubeconfig.read_text()
        environment = cluster.environment()
    assert cluster.control_plane is None
    assert cluster.context == json.loads(text)["current-context"] == "dev"
    assert str(home / "ca.crt") in text
    assert "production" not in text
    assert environment["KUBECONFIG"] == str(cluster.kubeconfig)
    assert not cluster.kubeconfig.exists()


def test_without_a_name_a_control_plane_is_made(home, monkeypatch):
    started = []

    def note(control_plane):
        started.append(control_plane)

    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    monkeypatch.delenv(CONTEXT_VARIABLE, raising=False)
    monkeypatch.setattr("kube.control_plane.ControlPlane.start", note)
    monkeypatch.setattr("kube.control_plane.ControlPlane.kubeconfig", home / "made", raising=False)
    with test_kubeconfig() as cluster:
        assert started == [cluster.control_plane]
        assert cluster.kubeconfig == home / "made"
