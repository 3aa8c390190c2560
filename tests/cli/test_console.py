"""What the commands print with: nothing that a user wrote can drive the terminal, and a pipe gets plain lines."""

import io
import json
from datetime import UTC, datetime

import pytest
from rich.text import Text

from featureplane.cli import console
from featureplane.errors import FeatureplaneError, InputError, Problem

HOSTILE = "\x1b[31mred\x1b[0m [bold]loud[/bold] [/] :boom:\r\n\x07\u202eback"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text, ümläut, 価格", "plain text, ümläut, 価格"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("\u202eright to left", r"\u202eright to left"),
        ("half of a pair: \ud83d", r"half of a pair: \ud83d"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        (1.5, "1.5"),
        (None, "null"),
        (["a", {"b": True}], '["a", {"b": true}]'),
        (datetime(2026, 3, 4, tzinfo=UTC), '"2026-03-04 00:00:00+00:00"'),
    ],
)
def test_a_value_is_printable(value, shown):
    assert console.printable(value) == shown


def test_long_text_is_cut_where_it_is_asked_to_be():
    assert console.printable("x" * 500, 20) == "x" * 17 + "..."
    assert len(console.printable("x" * 500)) == 160


@pytest.mark.parametrize(("count", "shown"), [(0, "0 views"), (1, "1 view"), (2, "2 views")])
def test_a_number_of_things(count, shown):
    assert console.counted(count, "view") == shown


def test_a_line_is_one_line_whatever_it_holds(capsys):
    console.say(HOSTILE, "bold red")
    console.complain(HOSTILE)
    out, err = capsys.readouterr()
    assert out == err == r"\x1b[31mred\x1b[0m [bold]loud[/bold] [/] :boom:\r\n\x07\u202eback" + "\n"


def test_a_table_is_as_wide_as_it_is_and_has_no_blanks_at_the_ends_of_its_lines(capsys):
    made = console.table("VIEW", "right:ROWS", "RESULT")
    made.add_row("v" * 300, "1", Text("ok", style="green"))
    made.add_row("[/] [red]w[/red] :boom:", "1000", "")
    console.show_table(made)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "VIEW" + " " * 298 + "ROWS  RESULT"
    assert lines[1] == "v" * 300 + "     1  ok"
    assert lines[2] == "[/] [red]w[/red] :boom:" + " " * 279 + "1000"


def on_terminal(monkeypatch, columns):
    """Write to a terminal as wide as that. A console that is there already may have the width of its process."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(console, "out", type(console.out)())


def test_a_table_too_wide_for_its_terminal_has_a_line_for_each_cell(capsys, monkeypatch):
    made = console.table("STATE", "name", "price")
    made.add_row(Text("served", style="green"), "Red Charger 570", "39.81")
    made.add_row("-", "Red Charger", "40.0")
    on_terminal(monkeypatch, 20)
    console.show_wide_table(made)
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert lines == [
        "STATE  served", "name   Red Charger 570", "price  39.81", "", "STATE  -", "name   Red Charger", "price  40.0",
    ]  # fmt: skip
    on_terminal(monkeypatch, 80)
    console.show_wide_table(made)
    assert Text.from_ansi(capsys.readouterr().out).plain.splitlines()[1] == "served  Red Charger 570  39.81"


def test_a_table_too_wide_stays_a_table_in_a_pipe(capsys, monkeypatch):
    made = console.table("STATE", "name")
    made.add_row("served", "Red Charger 570")
    monkeypatch.setenv("COLUMNS", "10")
    console.show_wide_table(made)
    assert capsys.readouterr().out.splitlines() == ["STATE   name", "served  Red Charger 570"]


def test_json_has_iso_times_and_reads_back_in_any_encoding(monkeypatch):
    value = {"time": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "text": HOSTILE + "é\udcff"}
    expected = {"time": "2026-03-04T05:06:07+00:00", "text": value["text"]}
    for encoding in ("utf-8", "ascii", "latin-1"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        console.print_json(value)
        assert json.loads(stream.buffer.getvalue().decode(encoding)) == expected


def test_an_output_that_is_not_utf_8_gets_escapes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    console.escape_what_cannot_be_encoded()
    console.say("价")
    assert stream.buffer.getvalue() == b"\\u4ef7\n"


def test_every_problem_gets_its_line_and_every_line_of_another_error_too(capsys):
    console.report(InputError([Problem("a.yaml", 3, "spec", "is\x1b wrong", "mend it"), Problem("b.yaml", 0, "", "x")]))
    console.report(FeatureplaneError("first\nsecond\x1b"))
    expected = [r"a.yaml:3: spec: is\x1b wrong; mend it", "b.yaml: x", "first", r"second\x1b"]
    assert capsys.readouterr().err.splitlines() == expected


def test_progress_in_a_pipe_is_a_line_for_every_tenth(capsys):
    with console.progress("copying") as advance:
        for done in range(101):
            advance(done, 100)
    assert capsys.readouterr().err.splitlines() == [f"copying: {tenth * 10} of 100" for tenth in range(11)]


def test_progress_of_a_single_thing_says_nothing(capsys):
    with console.progress("copying") as advance:
        advance(0, 1)
        advance(1, 1)
    assert capsys.readouterr().err == ""
