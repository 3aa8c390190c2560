"""The namespaces that a node lives in: all that is in there ends with them, however that is. `make e2e` runs these,
which has what they need; as root only.
"""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

from kube import alone
from patience import PATIENCE, until

TESTS = Path(__file__).resolve().parents[1]
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def start(folder, *command):
    return subprocess.Popen([sys.executable, alone.__file__, str(folder), *command], stdout=subprocess.PIPE, text=True)


def processes(word) -> list[str]:
    """Of the whole machine, what was started with this word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if word in line]


def test_what_is_made_in_there_is_nobody_elses(tmp_path):
    command = "ip link add inside type bridge && mount -t tmpfs none /mnt && touch /mnt/inside && exit 7"
    with start(tmp_path / "node", "sh", "-c", command) as process:
        assert process.wait(PATIENCE) == 7
    assert "inside" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert not Path("/mnt/inside").exists()


@pytest.mark.parametrize("number", ENDS)
def test_nobody_outlives_it(tmp_path, number):
    """A grandchild that became nobody's child, as every container's is."""
    sleep = f"sleep {1_000_000 + os.getpid()}"  # nobody else's
    orphan = f"setsid {sleep} & echo ready; exec {sleep}"
    with start(tmp_path / "node", "sh", "-c", orphan) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.wait(PATIENCE)
    until(lambda: not processes(sleep))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", ENDS)
def test_nothing_of_a_cluster_is_left(tmp_path, number):
    """No process, no mount and no cgroup; of a run that was killed the cgroups go with the next."""
    node = tmp_path / "node"
    keep = """
    import pathlib, signal, sys
    sys.path.insert(0, sys.argv[1])
    from kube.whole_cluster import WholeCluster
    with WholeCluster(pathlib.Path(sys.argv[2])):
        print("ready", flush=True)
        signal.pause()
    """
    before = alone.cgroups()
    with start(node, sys.executable, "-c", textwrap.dedent(keep), str(TESTS), str(node)) as process:
        assert process.stdout.readline() == "ready\n"
        assert alone.cgroups() > before
        process.send_signal(number)
        process.wait(PATIENCE)
    until(lambda: not processes(str(node)))
    assert str(node) not in Path("/proc/self/mounts").read_text()
    if number == signal.SIGKILL:
        with start(node, "true") as another:
            assert another.wait(PATIENCE) == 0
    assert alone.cgroups() == before
    assert not node.with_name("node.cgroups").exists()


def test_a_folder_is_one_runs_alone(tmp_path):
    with start(tmp_path / "node", "sh", "-c", "echo ready; sleep 60") as first:
        assert first.stdout.readline() == "ready\n"
        with pytest.raises(alone.InUseError, match="another run is using"):
            alone.outside(tmp_path / "node", ["true"])
        first.terminate()
