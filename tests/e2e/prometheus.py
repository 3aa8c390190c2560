"""A Prometheus beside the cluster, which scrapes what ServiceMonitors say and has the rules of PrometheusRules.

Both as the Prometheus operator has it done; but it reaches pods by way of the API server, for their own addresses lead
nowhere outside some clusters.
"""

import math
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from e2e.targets import Targets
from e2e.whole import Whole
from kube.debian import program
from kube.server import Server
from patience import until

Object = dict[str, Any]
_SECONDS = 10  # between scrapes, where a monitor does not say, and between looks at the rules
_TARGETS = "targets.json"
_CONFIG = {
    "global": {"scrape_interval": f"{_SECONDS}s", "evaluation_interval": f"{_SECONDS}s"},
    "rule_files": ["rules.yaml"],
    "scrape_configs": [{"job_name": "monitors", "file_sd_configs": [{"files": [_TARGETS]}]}],
}
_LISTENING = r"Listening on.*address=(127\S+)"


class Prometheus:
    """Runs for as long as its block; `folder` is emptied first."""

    def __init__(self, whole: Whole, folder: Path, monitors: Sequence[Object], rules: Sequence[Object]) -> None:
        self._whole, self._folder, self._monitors, self._rules = whole, folder, monitors, rules
        self._servers: list[Server] = []
        self._targets: Targets | None = None

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self.started = time.time()
        try:
            kubectl = shutil.which("kubectl", path=self._whole.environment["PATH"])
            ours = f"--kubeconfig={self._whole.environment['KUBECONFIG']}"
            proxy = self._address("kubectl", r"serve on (\S+)", str(kubectl), ours, "proxy", "--port=0")
            self._write("rules.yaml", {"groups": [group for rule in self._rules for group in rule["spec"]["groups"]]})
            self._targets = Targets(self._monitors, proxy, self._folder / _TARGETS)
            self._write("prometheus.yaml", _CONFIG)
            listen = ("--web.listen-address=127.0.0.1:0", "--config.file=prometheus.yaml", "--storage.tsdb.path=data")
            command = (program("prometheus", "prometheus"), *listen)
            self._url = f"http://{self._address('prometheus', _LISTENING, *command)}"
            until(lambda: httpx.get(f"{self._url}/-/ready").is_success)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._targets:
            self._targets.stop()
        for server in reversed(self._servers):
            server.terminate()

    def ask(self, path: str, **parameters: Any) -> Any:
        """`data` of its answer. Raises AssertionError when it has none."""
        assert self._targets
        self._targets.check()
        answer = httpx.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=60).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expression: str) -> list[dict[str, str]]:
        """The labels of those that have a number at any time since we started: what a graph over that time shows."""
        now = time.time()
        found = self.ask("query_range", query=expression, start=self.started, end=now, step=_SECONDS)["result"]
        return [one["metric"] for one in found if any(math.isfinite(float(value)) for _, value in one["values"])]

    def firing(self) -> set[str]:
        """Alerts by their names."""
        return {found["labels"]["alertname"] for found in self.ask("alerts")["alerts"] if found["state"] == "firing"}

    def down(self) -> list[str]:
        """Targets that cannot be scraped, each with why; an empty list once all can be, and there are some."""
        targets = self.ask("targets", state="active")["activeTargets"]
        assert targets, "nothing is selected by any monitor"
        return [f"{found['scrapeUrl']}: {found['lastError']}" for found in targets if found["health"] != "up"]

    def _address(self, name: str, pattern: str, *command: str) -> str:
        """Where a server listens: it takes whatever is free, and says so."""
        server = Server(name, command, self._folder, None)
        self._servers.append(server)

        def told() -> re.Match[str] | None:
            server.check()
            return re.search(pattern, server.log.read_text())

        return str(until(told)[1])

    def _write(self, name: str, content: Any) -> None:
        (self._folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
