"""A client in the cluster: a pod with the product's image, in which tests run a few lines of Python."""

import json
import textwrap
from typing import Any

from e2e.deployment import Deployment
from e2e.images import PRODUCT
from patience import until

NAME = "client"
_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
# One request after the other, for as long as the pod lives; what went wrong stands in its log.
_LOAD = """
import json, time, urllib.request
entities = {"commodity_code": ["crude_oil_wti"]}
body = json.dumps({"features": ["commodity_price_features"], "entities": entities}).encode()
asked = failed = 0
while True:
    asked += 1
    try:
        with urllib.request.urlopen("http://feast-server:8080/get-online-features", body, timeout=30) as answer:
            assert None not in json.load(answer)["results"][0]["values"]
    except Exception as error:
        failed += 1
        print("failed:", error, flush=True)
    if asked % 50 == 0:
        print(json.dumps({"asked": asked, "failed": failed}), flush=True)
    time.sleep(0.02)
"""


class Client:
    """The pod `name`, which sleeps, or keeps asking; both with Feast's settings of the ConfigMap `feast-client`."""

    def __init__(self, deployment: Deployment, name: str = NAME, program: str = "import time; time.sleep(1e6)") -> None:
        self.deployment, self.name = deployment, name
        repo = {"name": "repo", "mountPath": "/feast/feature_repo"}
        container = {
            "name": "client",
            "image": PRODUCT,
            "command": ["python3", "-c", program],
            "env": [{"name": "HOME", "value": "/tmp"}, {"name": "FEAST_USAGE", "value": "False"}],
            "volumeMounts": [repo, {"name": "tmp", "mountPath": "/tmp"}],
        }
        spec = {
            "containers": [container],
            "securityContext": _SECURITY,
            "terminationGracePeriodSeconds": 0,
            "volumes": [
                {"name": "repo", "configMap": {"name": "feast-client"}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }
        deployment.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        deployment.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s")

    def run(self, program: str) -> Any:
        """What it prints, read as JSON."""
        said = self.deployment.kubectl("exec", self.name, "--", "python3", "-c", textwrap.dedent(program))
        return json.loads(said.splitlines()[-1])

    def delete(self) -> None:
        self.deployment.kubectl("delete", "pod", self.name)


class Load(Client):
    """Asks all the time."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment, "load", _LOAD)
        until(lambda: self.asked() > 0)

    def asked(self) -> int:
        counts = [json.loads(line) for line in self._lines() if line.startswith("{")]
        return int(counts[-1]["asked"]) if counts else 0

    def failures(self) -> list[str]:
        return [line for line in self._lines() if line.startswith("failed")]

    def _lines(self) -> list[str]:
        return self.deployment.kubectl("logs", self.name).splitlines()
