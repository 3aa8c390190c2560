"""A neighbour's server as a process, with all that it starts itself."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from cli.commands import clean_environment
from patience import until

# Libraries of this size take a while to load where the machine does something else as well.
PATIENCE = 300.0


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, url: str, env: Mapping[str, str] | None = None, *, ending: float = 0.0
) -> Iterator[None]:
    """Run it in `folder` from when `url` answers to the end of the block. `folder` gets its log.

    Then it has `ending` seconds to end by itself, before it and all that it started are killed.
    """
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**clean_environment(), "NO_PROXY": "*", **(env or {})},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        with suppress(httpx.TransportError):
            return httpx.get(url, trust_env=False, timeout=60).is_success
        return False

    try:
        until(answers, PATIENCE)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ending)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
