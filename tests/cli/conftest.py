"""Places to run commands in; see `commands`."""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.commands import Place, Ran, clean_environment
from cli.examples import an_example
from featureplane.cli import main as program


@pytest.fixture
def place(tmp_path) -> Place:
    """An empty folder of the test's own."""
    return Place(tmp_path)


@pytest.fixture(scope="module")
def example(request, tmp_path_factory) -> Iterator[Place]:
    """A copy of the example that the module names in EXAMPLE, with its data; its stores run while the module does."""
    with an_example(request.module.EXAMPLE, tmp_path_factory.mktemp(request.module.EXAMPLE)) as made:
        yield made


@pytest.fixture
def featureplane(monkeypatch, tmp_path):
    """The program in this process, for what needs no store: `featureplane("validate", ...)` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path, stdin: str | bytes = b"") -> Ran:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["featureplane", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
            try:
                program.main()
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
        return Ran(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    yield run
    signal.signal(signal.SIGTERM, handler)
