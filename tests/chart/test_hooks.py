"""What runs before an install, an upgrade and a deletion, and as `helm test`."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from chart.helm import CHART, is_hook, one, render
from featureplane.model.crd import RESOURCES

TEST = CHART / "files" / "test_server.py"


def hooks(items, when):
    """Kind and name, in the order that Helm makes them."""
    found = [item for item in items if when in item["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    return sorted(found, key=lambda item: int(item["metadata"]["annotations"]["helm.sh/hook-weight"]))


@pytest.mark.parametrize("when", ["pre-install", "pre-upgrade"])
def test_crds_are_brought_up_to_date_first(when):
    *before, job = hooks(render(), when)
    assert {item["kind"] for item in before} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert [*container["command"], *container["args"]] == ["featureplane", "apply-crds"]
    rule, create = one(before, "ClusterRole")["rules"]
    assert rule["resourceNames"] == sorted(resource.crd_name for resource in RESOURCES)
    assert (rule["verbs"], create["verbs"]) == (["patch"], ["create"])


def test_nothing_of_the_chart_deletes_a_crd():
    """Helm's `crds/` folder: made once, and never touched again. A template would be deleted with the release."""
    assert not [item for item in render() if item["kind"] == "CustomResourceDefinition"]


def test_crds_can_be_left_to_others(tmp_path):
    items = render({"crds": {"upgrade": False}}, tmp_path)
    assert hooks(items, "pre-install") == hooks(items, "pre-upgrade") == []
    assert not [item for item in items if item["kind"].startswith("Cluster")]


@pytest.mark.parametrize("watch", ["own", "all"])
def test_before_a_deletion_the_operator_stops_and_lets_go(watch, tmp_path):
    items = render({"operator": {"watch": watch}}, tmp_path)
    *_, job = hooks(items, "pre-delete")
    container = job["spec"]["template"]["spec"]["containers"][0]
    operator = one(items, "Deployment")["metadata"]["name"]
    assert [*container["command"], *container["args"]] == ["featureplane", "let-go", "--operator", operator]
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "FEATUREPLANE_NAMESPACE": "data-platform", "FEATUREPLANE_WATCH": watch,
    }  # fmt: skip


def test_letting_go_can_be_turned_off(tmp_path):
    assert hooks(render({"hooks": {"letGoOnDelete": False}}, tmp_path), "pre-delete") == []


def test_nothing_of_a_hook_is_left():
    for item in filter(is_hook, render()):
        policy = item["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded", item


def test_a_hooks_job_ends():
    for item in render():
        if item["kind"] == "Job":
            assert item["spec"]["activeDeadlineSeconds"] <= 300


def test_only_pods_that_ask_the_api_have_a_token(tmp_path):
    for item in render({"trial": {"enabled": True}}, tmp_path):
        if item["kind"] in {"Pod", "StatefulSet"}:
            spec = item["spec"] if item["kind"] == "Pod" else item["spec"]["template"]["spec"]
            assert spec["automountServiceAccountToken"] is False


def test_the_test_asks_the_server_of_the_project(tmp_path):
    values = {"project": {"name": "shop", "spec": {"server": {"http": {"port": 9000}}}}}
    pod = one(render(values, tmp_path), "Pod")
    assert pod["spec"]["containers"][0]["args"] == ["http://shop-server.data-platform.svc:9000"]
    values["project"]["spec"]["server"]["tls"] = {"secretRef": {"name": "certificate"}}
    pod = one(render(values, tmp_path), "Pod")
    assert pod["spec"]["containers"][0]["args"] == ["https://shop-server.data-platform.svc:9000"]
    assert not [item for item in render({"project": {"create": False}}, tmp_path) if item["kind"] == "Pod"]


@pytest.fixture
def answering():
    """A server whose answers a test says: status by path."""
    statuses = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(statuses[self.path])
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - as http.server asks

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", statuses
    server.shutdown()
    thread.join()
    server.server_close()


def run_test(url, patience="0"):
    script = TEST.read_text().replace("PATIENCE_SECONDS = 180", f"PATIENCE_SECONDS = {patience}")
    return subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("status", [200, 401, 422])
def test_the_test_passes_where_the_server_answers(answering, status):
    url, statuses = answering
    statuses |= {"/health": 200, "/get-online-features": status}
    assert run_test(url).stdout == f"{url} answers\n"


@pytest.mark.parametrize(
    ("health", "features", "words"), [(503, 422, "/health answers 503"), (200, 503, "/get-online-features answers 503")]
)
def test_the_test_fails_where_the_server_cannot(answering, health, features, words):
    url, statuses = answering
    statuses |= {"/health": health, "/get-online-features": features}
    done = run_test(url)
    assert done.returncode == 1
    assert words in done.stderr


def test_the_test_fails_where_nobody_is():
    done = run_test("http://127.0.0.1:1")
    assert done.returncode == 1
    assert "refused" in done.stderr
