"""The folder in which workers keep their metrics, as their parent sees it."""

from pathlib import Path

# The variable by which prometheus_client finds it, in a worker.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def forget(folder: Path, pid: int) -> None:
    """A worker has ended: take out what was only so while it lived. What it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # it publishes no types
