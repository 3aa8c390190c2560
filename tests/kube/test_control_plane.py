"""The control plane itself: what tests of the operator take for granted. Run by `make test-cluster`."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
import yaml
from kubernetes import client, config

from kube import control_plane as script
from kube import keeper
from kube.control_plane import CONTEXT, ControlPlane
from kube.server import ServerError
from patience import PATIENCE, until

CRDS = sorted((Path(__file__).resolve().parents[2] / "crds").glob("*.yaml"))


@pytest.fixture(scope="module")
def running() -> Iterator[ControlPlane]:
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.fixture
def api(running: ControlPlane) -> client.ApiClient:
    made = config.new_client_from_config(str(running.kubeconfig), CONTEXT)
    made.configuration.retries = False
    return client.ApiClient(made.configuration)


def test_every_crd_is_established(api):
    extensions = client.ApiextensionsV1Api(api)
    bodies = [body for path in CRDS for body in yaml.safe_load_all(path.read_text()) if body]
    assert bodies
    for body in bodies:
        extensions.create_custom_resource_definition(body)

    def established() -> bool:
        names = set()
        for crd in extensions.list_custom_resource_definition().items:
            conditions = {condition.type: condition.status for condition in crd.status.conditions or []}
            assert conditions.get("NonStructuralSchema") != "True", crd.metadata.name
            if conditions.get("Established") == "True":
                names.add(crd.metadata.name)
        return names == {body["metadata"]["name"] for body in bodies}

    until(established)


def test_a_service_account_has_a_token_and_no_rights(running, api):
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = client.CoreV1Api(api).create_namespaced_service_account_token("default", "default", request).status.token
    settings = client.Configuration(host=running.url)
    settings.ssl_ca_cert = api.configuration.ssl_ca_cert
    settings.api_key = {"authorization": f"Bearer {token}"}
    theirs = client.ApiClient(settings)
    who = client.AuthenticationV1Api(theirs).create_self_subject_review(client.V1SelfSubjectReview())
    assert who.status.user_info.username == "system:serviceaccount:default:default"
    with pytest.raises(client.ApiException, match="Forbidden"):
        client.CoreV1Api(theirs).list_namespaced_secret("default")


def test_pod_security_is_enforced(api):
    core = client.CoreV1Api(api)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    core.create_namespace({"metadata": {"name": "restricted", "labels": labels}})
    until(lambda: core.list_namespaced_service_account("restricted").items)
    pod = {"metadata": {"name": "open"}, "spec": {"containers": [{"name": "open", "image": "none"}]}}
    with pytest.raises(client.ApiException, match="violates PodSecurity"):
        core.create_namespaced_pod("restricted", pod)


@pytest.mark.parametrize("end", ["kill_api_server", "stop_api_server"])
def test_a_restarted_api_server_has_its_data_and_its_address(running, api, end):
    core, name = client.CoreV1Api(api), end.replace("_", "-")
    core.create_namespaced_config_map("default", {"metadata": {"name": name}, "data": {"kept": "yes"}})
    before = running.url
    getattr(running, end)()
    with pytest.raises(urllib3.exceptions.HTTPError):
        core.read_namespaced_config_map(name, "default")
    running.start_api_server()
    assert running.url == before
    assert core.read_namespaced_config_map(name, "default").data == {"kept": "yes"}
    core.create_namespace({"metadata": {"name": name}})
    until(lambda: core.list_namespaced_service_account(name).items)  # the controllers found it again


def test_a_failed_start_says_why_and_leaves_nothing():
    broken = ControlPlane(api_server_flags=["--no-such-flag"])
    with pytest.raises(ServerError, match="unknown flag: --no-such-flag"):
        broken.start()
    assert not broken.folder.exists()
    assert not servers_in(broken.folder)


def test_a_given_folder_keeps_the_data(tmp_path):
    for _ in range(2):
        with ControlPlane(tmp_path / "kept") as control_plane:
            core = client.CoreV1Api(config.new_client_from_config(str(control_plane.kubeconfig), CONTEXT))
            names = {namespace.metadata.name for namespace in core.list_namespace().items}
            if "kept" not in names:
                core.create_namespace({"metadata": {"name": "kept"}})
        assert not servers_in(control_plane.folder)
    assert "kept" in names


def test_nothing_is_left_when_the_parent_is_killed():
    with subprocess.Popen([sys.executable, script.__file__], stdout=subprocess.PIPE, text=True) as parent:
        line = parent.stdout.readline()
        folder = Path(line.removeprefix("export KUBECONFIG=").strip()).parent
        assert len(servers_in(folder)) == 6  # three servers and their keepers
        parent.kill()
    until(lambda: not servers_in(folder))
    until(lambda: not folder.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_server_ends_with_its_keeper():
    command = [sys.executable, "-I", "-S", keeper.__file__, "-", "sleep", "100"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        (server,) = until(lambda: psutil.Process(process.pid).children())
        until(lambda: server.name() == "sleep")
        process.send_signal(signal.SIGKILL)
        server.wait(PATIENCE)


def servers_in(folder: Path) -> list[psutil.Process]:
    """Servers and keepers run in their control plane's folder; a folder that was removed says so at its end."""
    places = {str(folder), f"{folder} (deleted)"}
    return [
        process
        for process in psutil.process_iter(["cwd", "status"])
        if process.info["cwd"] in places and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
