"""What the commands print: colours and bars on a terminal, plain lines elsewhere, never a user's control character."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from featureplane.errors import FeatureplaneError, InputError


class _Console(Console):
    """Whole lines, as wide as they are; text is never read as markup or emoji."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> NoReturn:
        """Let `main` end the program: rich itself would exit with 1, which is a plan's answer."""
        raise BrokenPipeError  # without an errno, by which typer would end it with 1 as well


out = _Console()
err = _Console(stderr=True)

LONGEST = 160
_WIDEST = 10_000


def printable(value: Any, longest: int = LONGEST) -> str:
    """A value on one line: text as it is where it can be printed, everything else escaped, long text cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = _escaped(text)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _escaped(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def say(text: str, style: str = "") -> None:
    """One line on standard output."""
    out.print(Text(_escaped(text), style=style))


def complain(text: str, style: str = "red") -> None:
    """One line on standard error."""
    err.print(Text(_escaped(text), style=style))


def report(error: FeatureplaneError) -> None:
    """Everything that an error says, on standard error: a line each problem, hardly cut, for its remedy stands last."""
    lines = map(str, error.problems) if isinstance(error, InputError) else str(error).splitlines()
    for line in lines:
        complain(printable(line, longest=2000))


def counted(count: int, noun: str) -> str:
    """`1 view`, `2 views`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def print_json(value: Any) -> None:
    """Machine-readable output: the only thing on standard output. Times are ISO 8601."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_as_json)
    if not _can_write(out.file, text):
        text = json.dumps(value, indent=2, default=_as_json)
    try:
        out.file.write(text + "\n")
        out.file.flush()
    except BrokenPipeError:
        out.on_broken_pipe()


def _as_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _can_write(file: Any, text: str) -> bool:
    try:
        text.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def escape_what_cannot_be_encoded() -> None:
    """Make an output that is not UTF-8 show escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def table(*columns: str) -> Table:
    """A plain table; numbers go to the right by `right:NAME`."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(
            column.removeprefix("right:"), justify="right" if column.startswith("right:") else "left", no_wrap=True
        )
    return made


def show_table(made: Table) -> None:
    """Print a table as wide as it is, without blanks at the ends of its lines; a narrow terminal wraps them."""
    lines = out.render_lines(made, out.options.update(width=_WIDEST), pad=False)
    for line in lines:
        shown = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        shown.rstrip()
        out.print(shown)


def show_wide_table(made: Table) -> None:
    """Print a table with a column for each feature; on a terminal too narrow for it, a line for each cell."""
    width = Measurement.get(out, out.options.update(width=_WIDEST), made).maximum
    show_table(_turned(made) if out.is_terminal and width > out.width else made)


def _turned(made: Table) -> Table:
    lines = Table(box=None, pad_edge=False, show_header=False)
    lines.add_column(style=made.header_style, no_wrap=True)
    lines.add_column(no_wrap=True)
    for number, cells in enumerate(zip(*(column.cells for column in made.columns), strict=True)):
        if number:
            lines.add_row()
        for column, cell in zip(made.columns, cells, strict=True):
            lines.add_row(column.header, cell)
    return lines


# Elsewhere than on a terminal a line says how far it is this often, in seconds, and at every tenth of the way.
_LINE_EVERY = 5.0


@contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """A bar on a terminal; elsewhere a line every few seconds and for every tenth of the way.

    What is yielded takes how much is done, of how much, and what is under way.
    """
    if not err.is_terminal:
        last, said = -1, time.monotonic()

        def line(done: int, total: int, detail: str = "") -> None:
            nonlocal last, said
            tenth = done * 10 // total if total else 10
            if (tenth != last and total > 1) or time.monotonic() - said > _LINE_EVERY:
                last, said = tenth, time.monotonic()
                complain(f"{label}: {done} of {total}{f', {detail}' if detail else ''}", style="")

        yield line
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None, detail="")

        def advance(done: int, total: int, detail: str = "") -> None:
            bar.update(task, completed=done, total=total, detail=printable(detail))

        yield advance
