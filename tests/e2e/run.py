"""`make e2e`: the image, a whole cluster, and the tests on it. Arguments are pytest's.

The cluster is kind's where Docker answers, else a node on this machine, which wants root. `--keep` in place of tests
leaves the cluster up until Ctrl-C, for a developer with kubectl: `make cluster`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":  # as a script: what is next to us is found the way that pytest finds it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e import images, kind
from e2e.paths import BUILD, ROOT
from kube import alone, build, debian, published
from kube.guard import FILE_VARIABLE

_KEEP = Path(__file__).with_name("keep.py")


def main(arguments: list[str]) -> int:
    command = [sys.executable, str(_KEEP)] if arguments == ["--keep"] else _pytest("e2e", *arguments)
    try:
        debian.program("prometheus", "prometheus")
        published.crds()
        if kind.docker_answers():
            return _on_kind(command)
        debian.prepare()
        build.binary()
        build.binary(build.NODE)
        if not arguments and (failed := subprocess.run(_pytest("node"), check=False).returncode):
            return failed
        return _on_this_machine(command)
    except (debian.MachineError, kind.KindError, build.BuildError, alone.InUseError) as error:
        build.say(f"error: nothing can be tested here: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    except subprocess.CalledProcessError as error:
        build.say(f"error: {' '.join(map(str, error.cmd[:4]))} failed; what it said stands above")
        return 1


def _on_this_machine(command: list[str]) -> int:
    archives = images.archives(BUILD / "images")
    node = BUILD / "node"  # emptied by who has it
    ours = {
        "FEATUREPLANE_E2E_NODE": str(node),
        "FEATUREPLANE_E2E_VOLUMES": str(node / "volumes"),
        "FEATUREPLANE_E2E_ARCHIVES": ":".join(map(str, archives)),
    }
    return alone.outside(node, command, {**os.environ, **ours})


def _on_kind(command: list[str]) -> int:
    kind.require()
    images.product()
    volumes, kubeconfig = BUILD / "volumes", BUILD / "kubeconfig"
    shutil.rmtree(volumes, ignore_errors=True)
    volumes.mkdir(parents=True)
    subprocess.run(["docker", "tag", images.PRODUCT, images.PREVIOUS], check=True)
    with kind.cluster(kubeconfig, volumes, [images.PRODUCT, images.PREVIOUS]):
        ours = {FILE_VARIABLE: str(kubeconfig), "FEATUREPLANE_E2E_VOLUMES": str(volumes)}
        return subprocess.run(command, env={**os.environ, **ours}, check=False).returncode


def _pytest(suite: str, *arguments: str) -> list[str]:
    # In order, and no further than the first that fails: each finds what those before it left.
    return [sys.executable, "-m", "pytest", "--timeout=1200", "-x", "-v", str(ROOT / "tests" / suite), *arguments]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
