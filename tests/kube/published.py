"""CRDs of others that our objects are of, made from their published Go modules: `crds()`, or run this file.

Gateway API's are files of its module. The Prometheus operator's are not: controller-gen makes them of its types, as
their own build does. `crds/go.sum` says what both are, byte by byte. Made once, into the cache folder, like the control
plane.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

if __name__ == "__main__":  # as a script: what is next to us is found the way that pytest finds it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kube.build import cache_folder, say
from kube.toolchain import BuildError, find_go, go_environment

MODULE = Path(__file__).resolve().parent / "crds"
_GATEWAY = "sigs.k8s.io/gateway-api"
_MONITORING = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
_WANTED = (
    "gateway.networking.k8s.io_httproutes.yaml",
    "gateway.networking.k8s.io_grpcroutes.yaml",
    "monitoring.coreos.com_servicemonitors.yaml",
    "monitoring.coreos.com_prometheusrules.yaml",
)


def crds() -> list[dict[str, Any]]:
    """HTTPRoute, GRPCRoute, ServiceMonitor and PrometheusRule. Raises BuildError."""
    return [yaml.safe_load((_folder() / name).read_text()) for name in _WANTED]


def _folder() -> Path:
    digest = hashlib.sha256(b"\0".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()
    folder = cache_folder() / "crds" / digest[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    say(f"Making CRDs of published Go modules in {folder}; a minute the first time.")
    go = find_go(cache_folder(), MODULE / "go.mod", say)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    generator = "sigs.k8s.io/controller-tools/cmd/controller-gen"
    _run(go, "run", "-mod=readonly", generator, "crd", f"paths={_MONITORING}", f"output:dir={unfinished}")
    where = json.loads(_run(go, "mod", "download", "-json", _GATEWAY))["Dir"]
    for path in (Path(where) / "config" / "crd" / "standard").glob("*.yaml"):
        shutil.copyfile(path, unfinished / path.name)
    unfinished.rename(folder)


def _run(go: Path, *arguments: str) -> str:
    done = subprocess.run(
        [go, *arguments], cwd=MODULE, env=go_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"go {arguments[0]} in {MODULE} failed; it needs Go's module proxy. It said:\n{done.stderr}")
    return done.stdout


def main() -> int:
    try:
        found = crds()
    except BuildError as error:
        say(f"error: {error}")
        return 1
    sys.stdout.write("".join(f"{crd['metadata']['name']}\n" for crd in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
