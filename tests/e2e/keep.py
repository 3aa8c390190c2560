"""Instead of tests: keep the cluster up until Ctrl-C. Started by run.py."""

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":  # as a script: what is next to us is found the way that pytest finds it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from e2e.whole import whole_cluster
from kube.build import say


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with whole_cluster() as cluster:
            if node := os.environ.get("FEATUREPLANE_E2E_NODE"):
                into = f'nsenter --target "$(cat {node}/pid)" --net --mount --pid env'
                say(f"{into} KUBECONFIG={cluster.environment['KUBECONFIG']} PATH={cluster.environment['PATH']} bash")
            else:
                say(f"export KUBECONFIG={cluster.environment['KUBECONFIG']}")
            say("until Ctrl-C")
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
