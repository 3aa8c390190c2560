"""What ServiceMonitors select, found again and again: Debian's Prometheus is built without a way to ask Kubernetes."""

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

Object = dict[str, Any]
_SECONDS = 2
_OF_SERVICE = "kubernetes.io/service-name"


class Targets:
    """Keeps `file` (Prometheus' file_sd) up to date until it is stopped. `proxy` is where a `kubectl proxy` listens."""

    def __init__(self, monitors: Sequence[Object], proxy: str, file: Path) -> None:
        self._monitors, self._proxy, self._file = monitors, proxy, file
        self._end = threading.Event()
        self._write()
        self._executor = ThreadPoolExecutor(max_workers=1)
        self._following = self._executor.submit(self._follow)

    def check(self) -> None:
        """Raises whatever ended it, for what it found then is out of date."""
        if self._following.done():
            self._following.result()

    def stop(self) -> None:
        self._end.set()
        self._executor.shutdown()

    def _follow(self) -> None:
        while not self._end.wait(_SECONDS):
            try:
                self._write()
            except httpx.HTTPError:  # a busy API server is asked again
                continue

    def _write(self) -> None:
        """As a whole, for Prometheus reads it the moment that it changes."""
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(list(self._found())))
        unfinished.replace(self._file)

    def _found(self) -> Iterator[Object]:
        for monitor in self._monitors:
            name, namespace = (monitor["metadata"][key] for key in ("name", "namespace"))
            wanted = monitor["spec"]
            assert "namespaceSelector" not in wanted, f"{name} looks at other namespaces, which is not read here"
            for service in self._list(f"api/v1/namespaces/{namespace}/services", wanted["selector"]["matchLabels"]):
                of_it = {_OF_SERVICE: service["metadata"]["name"]}
                slices = self._list(f"apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", of_it)
                for endpoint in wanted["endpoints"]:
                    assert endpoint.keys() <= {"port", "interval"}, f"{name} says more than is read here: {endpoint}"
                    for one in slices:
                        yield from self._in(one, endpoint)

    def _in(self, slice_: Object, endpoint: Object) -> Iterator[Object]:
        """With the labels that the Prometheus operator gives them."""
        namespace, service = slice_["metadata"]["namespace"], slice_["metadata"]["labels"][_OF_SERVICE]
        for port in (found["port"] for found in slice_["ports"] or [] if found["name"] == endpoint["port"]):
            for each in slice_["endpoints"] or []:
                pod = each["targetRef"]["name"]
                labels = {
                    "namespace": namespace,
                    "service": service,
                    "pod": pod,
                    "job": service,
                    "endpoint": endpoint["port"],
                    "instance": f"{each['addresses'][0]}:{port}",
                    "__metrics_path__": f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics",
                    **({"__scrape_interval__": endpoint["interval"]} if "interval" in endpoint else {}),
                }
                yield {"targets": [self._proxy], "labels": labels}

    def _list(self, path: str, labels: dict[str, str]) -> list[Object]:
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = httpx.get(f"http://{self._proxy}/{path}", params={"labelSelector": selector}, timeout=10)
        items: list[Object] = answer.raise_for_status().json()["items"]
        return items
