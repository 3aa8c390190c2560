"""The operator as a process of its own, as its pod runs it; started, killed and continued by tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from patience import PATIENCE, until


class OperatorProcess:
    """One operator. Its log goes to a file, and to the test's output when it did not start."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "PG"))},
            "KUBECONFIG": str(kubeconfig),
            "FEATUREPLANE_NAMESPACE": namespace,
            "FEATUREPLANE_OPERATOR_PORT": "0",
            "FEATUREPLANE_IMAGE": "featureplane:test",
            "FEATUREPLANE_SECRETS_POLL_SECONDS": "1",
            "FEATUREPLANE_RESYNC_SECONDS": "15",
            **(settings or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> "OperatorProcess":
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("featureplane")), "operator"], env=self.environment, stderr=log,
                stdout=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._start_of_log = before
        if wait:
            until(self.is_ready, what="the operator is not ready")
        return self

    @property
    def words(self) -> str:
        """What it said since it was last started."""
        return self.log.read_bytes()[self._start_of_log :].decode()

    @property
    def url(self) -> str:
        for line in self.words.splitlines():
            if "probes and metrics at port" in line:
                return f"http://127.0.0.1:{line.rsplit(' ', 1)[1]}"
        assert self.process is not None
        assert self.process.poll() is None, f"the operator ended: {self.words[-3000:]}"
        raise AssertionError("the operator listens to nobody yet")

    def is_ready(self) -> bool:
        if not self.is_running:
            raise RuntimeError(f"the operator ended: {self.words[-3000:]}")
        return self.probe("/readyz") == 200

    def probe(self, path: str) -> int:
        try:
            return httpx.get(self.url + path, timeout=15).status_code
        except httpx.HTTPError:
            return 0

    def metrics(self) -> str:
        return httpx.get(self.url + "/metrics", timeout=PATIENCE).text

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value; 0 where there is none."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        total = 0.0
        for line in self.metrics().splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{")[0] == name and all(each in head for each in wanted):
                total += float(value)
        return total

    def kill(self) -> None:
        """As the kernel does when memory runs out; its children end by themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def freeze(self) -> None:
        """Stop it and its children in the middle of what they do."""
        for each in self.family():
            each.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for each in self.family():
            each.send_signal(signal.SIGCONT)

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None
