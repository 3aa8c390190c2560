"""Commands as a user runs them: a process each, in a folder of its own with its own stores."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from patience import PATIENCE, until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass
class Place:
    """A folder with files and a state folder. Calling it runs a command there and waits for its end."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / ".featureplane"

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Ran:
        """Run `PREFIX featureplane ARGUMENTS`. A traceback fails the test, whatever it is about."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*prefix, *self._command(arguments)],
            cwd=self.folder,
            env=self.environment(env),
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.out + ran.err, ran.err
        return ran

    @contextlib.contextmanager
    def running(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator["Running"]:
        """A command that stays; killed with the block, should it still be there."""
        process = subprocess.Popen(
            self._command(arguments),
            cwd=self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            running.close()

    def write(self, name: str, text: str) -> Path:
        """Write a file; a reader sees the old one or the new one."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text)
        draft.replace(path)
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def processes(self) -> list[str]:
        """Every process that has to do with the state folder: the stores by their command, others by their stores."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [*process.cmdline(), process.cwd(), *process.environ().values()]
                if process.pid != os.getpid() and any(str(self.state) in word for word in words):
                    found.append(" ".join(process.cmdline()))
        return found

    def wait_for(self, *names: str) -> None:
        """Wait until processes run whose commands hold these words."""
        until(lambda: all(any(name in command for command in self.processes()) for name in names), what=self.processes)

    def wait_until_nothing_runs(self) -> None:
        until(lambda: not self.processes(), what=self.processes)

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [str(BIN / "featureplane"), *map(str, arguments)]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**clean_environment(), **self.variables, **(env or {})}


class Running:
    """A command that stays, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._asked = 0
        self._lost = False

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.text += line
                self._news.notify_all()

    def said(self, words: str) -> str:
        """Wait until it says `words`, after what was waited for before; the line with them."""
        assert not self._lost, "it went astray in an earlier test"
        with self._news:
            end = time.monotonic() + PATIENCE
            while (at := self.text.find(words, self._asked)) < 0 or "\n" not in self.text[at:]:
                self._lost = time.monotonic() > end or not self._reader.is_alive()
                assert not self._lost, f"never said {words!r}, but: {self.text}"
                self._news.wait(0.5)
            self._asked = self.text.index("\n", at) + 1
            return self.text[self.text.rfind("\n", 0, at) + 1 : self._asked - 1]

    def interrupt(self) -> int:
        """Ctrl-C in its terminal, which goes to its process group; its exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert "Traceback" not in self.text, self.text


def clean_environment() -> dict[str, str]:
    """Ours without what would lead a command to other stores, and without a terminal's width."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "FEATUREPLANE_"))}
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
        kept.pop(name, None)
    return {**kept, "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}"}
