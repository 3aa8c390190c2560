"""The namespaces that a node lives in. As root only: nobody else makes them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kube import alone
from patience import PATIENCE, until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces of network and mounts are root's to make"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is missing; `make e2e` installs it on Debian"),
]


def start(folder, *command):
    return subprocess.Popen([sys.executable, alone.__file__, str(folder), *command], stdout=subprocess.PIPE, text=True)


def first_process(path) -> str:
    """Written when it runs already."""
    return until(lambda: path.exists() and path.read_text().strip())


def test_what_is_made_in_there_is_nobody_elses(tmp_path):
    command = "ip link add inside type bridge && mount -t tmpfs none /mnt && touch /mnt/inside && exit 7"
    with start(tmp_path / "node", "sh", "-c", command) as process:
        assert process.wait(PATIENCE) == 7
    assert "inside" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert not Path("/mnt/inside").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nobody_outlives_it(tmp_path, number):
    """A grandchild that became nobody's child, as every container's is."""
    sleep = f"sleep {1_000_000 + os.getpid()}"  # nobody else's
    orphan = f"setsid {sleep} & echo ready; exec {sleep}"
    with start(tmp_path / "node", "sh", "-c", orphan) as process:
        assert process.stdout.readline() == "ready\n"
        inside = Path("/proc", first_process(tmp_path / "node" / "pid"))
        process.send_signal(number)
        process.wait(PATIENCE)
    until(lambda: not inside.exists())
    assert sleep not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_a_folder_is_one_runs_alone(tmp_path):
    with start(tmp_path / "node", "sh", "-c", "echo ready; sleep 60") as first:
        assert first.stdout.readline() == "ready\n"
        with pytest.raises(alone.InUseError, match="another run is using"):
            alone.outside(tmp_path / "node", ["true"])
        first.terminate()
