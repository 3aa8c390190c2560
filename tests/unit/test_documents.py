import json
import re
import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from factories import to_yaml
from featureplane.model import documents as module
from featureplane.model.documents import Document, field_path, read_documents


def read(text):
    """The values of a file's documents; there must be no problem."""
    found, problems = read_documents(text, "f.yaml")
    assert not problems, problems
    return [document.value for document in found]


def problems(text):
    """Every problem of a file, as it is shown but for the file's name."""
    return [str(problem).removeprefix("f.yaml:") for problem in read_documents(text, "f.yaml")[1]]


# What is read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text", "text"),
        ("two words", "two words"),
        ("'7'", "7"),
        ('"yes"', "yes"),
        ('"\\0\\x07\\u2028"', "\0\x07\u2028"),
        ("|\n  one\n  two\n", "one\ntwo\n"),
        (">-\n  one\n  two\n", "one two"),
        ("é漢🎉", "é漢🎉"),
        ("${HOME}", "${HOME}"),
        ("'{{ name }}'", "{{ name }}"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("+7", 7),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("9" * 64, int("9" * 64)),
        # As in kubectl, these are text.
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("nan", "nan"),
        ("5m", "5m"),
    ],
)
def test_scalars(text, value):
    (document,) = read(f"a: {text}" if text != "-" else 'a: "-"')
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize("text", ["", "---\n", "# a comment\n", "---\n---\n# x\n---\n", "\n\n", "null", "--- ~\n..."])
def test_empty_documents_are_passed_over(text):
    assert read(text) == []


def test_json_is_yaml():
    value = {"a": [1, 2.5, True, None, "x\ty"], "b": {"c": []}}
    assert read(json.dumps(value)) == [value]


def test_several_documents_with_directives_and_comments():
    text = "%YAML 1.2\n# about a\n---\na: 1\n...\n%YAML 1.1\n\n# about b\n---\nb: |\n  ---\n  x\n---\n- 3"
    assert read(text) == [{"a": 1}, {"b": "---\nx\n"}, [3]]


def test_a_byte_order_mark_is_no_text():
    assert read("\ufeffa: é") == [{"a": "é"}]


def test_aliases_are_written_out():
    assert read("a: &x {b: [1]}\nc: *x\nd: [*x, &x 2, *x]") == [
        {"a": {"b": [1]}, "c": {"b": [1]}, "d": [{"b": [1]}, 2, 2]}
    ]


# Where it stands


TEXT = """\
# comment
kind: FeatureView

spec:
  features:
    - name: a
      tags: {x: "1",
             y-z: "2"}
    - name: b
---
shared: &s
  deep: 1
other: *s
"""


@pytest.mark.parametrize(
    ("number", "path", "line"),
    [
        (0, (), 2),
        (0, ("kind",), 2),
        (0, ("spec",), 4),
        (0, ("spec", "features"), 5),
        (0, ("spec", "features", 0), 6),
        (0, ("spec", "features", 0, "tags", "y-z"), 8),
        (0, ("spec", "features", 1, "name"), 9),
        (0, ("spec", "features", 1, "type"), 9),
        (0, ("spec", "features", 7, "type"), 5),
        (0, ("nothing", "here"), 2),
        (1, ("shared",), 11),
        (1, ("other",), 13),
        (1, ("other", "deep"), 12),
    ],
)
def test_each_field_has_the_line_of_its_key_or_of_what_is_around_it(number, path, line):
    found, _ = read_documents(TEXT, "f.yaml")
    assert found[number].line(path) == line


def test_a_document_that_came_from_no_file_has_no_lines():
    assert Document("", {}, {}).line(("spec",)) == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "features", 2, "type"), "spec.features[2].type"),
        ((0,), "[0]"),
        (("tags", "a b"), "tags['a b']"),
        (("tags", "é\n"), "tags['\\xe9\\n']"),
        (("tags", ""), "tags['']"),
        (("tags", "x" * 100), f"tags['{'x' * 37}...']"),
    ],
)
def test_paths_are_written_as_kubectl_explain_does(path, text):
    assert field_path(path) == text


# What is refused


TAG = "leave the tag out; only plain values are read"
NUMBER = (
    "which not every reader takes for the same number; put it in quotes where it is text, else write a plain number"
)
BOOLEAN = "which some readers take for true or false"
ESCAPE = r'take it out, or write it in double quotes as an escape like "\x07"'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object/apply:os.system [x]", f"1: a: has the YAML tag '!!python/object/apply:os.system'; {TAG}"),
        ("a: !!python/name:os.system", f"1: a: has the YAML tag '!!python/name:os.system'; {TAG}"),
        ("a: !!binary aGVsbG8=", f"1: a: has the YAML tag '!!binary'; {TAG}"),
        ("a: !custom {b: 1}", f"1: a: has the YAML tag '!custom'; {TAG}"),
        ("a: ! b", f"1: a: has the YAML tag '!'; {TAG}"),
        ("a: !!str 7", f"1: a: has the YAML tag '!!str'; {TAG}"),
        ("a: !!set {b}", f"1: a: has the YAML tag '!!set'; {TAG}"),
        ("!k a: 1", f"1: has the YAML tag '!k'; {TAG}"),
        ("a: &a [*a]", "1: a[0]: holds an alias to itself; write the values out"),
        ("&a {b: {c: *a}}", "1: b.c: holds an alias to itself; write the values out"),
        ("a: 1\nb: 2\na: 3", "3: a: stands here a second time, after line 1; keep one of them"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "3: c: uses the merge key <<; write the fields out"),
        ("a: yes", f'1: a: has yes without quotes, {BOOLEAN}; write "yes", true or false'),
        ("a: [b, N]", f'1: a[1]: has N without quotes, {BOOLEAN}; write "N", true or false'),
        ("on: 1", f'1: on: has on without quotes, {BOOLEAN}; write "on", true or false'),
        ("a: 0777", f"1: a: has 0777 without quotes, {NUMBER}"),
        ("a: 1_000", f"1: a: has 1_000 without quotes, {NUMBER}"),
        ("a: 0b11", f"1: a: has 0b11 without quotes, {NUMBER}"),
        ("a: -0x1F", f"1: a: has -0x1F without quotes, {NUMBER}"),
        ("a: .nan", f"1: a: has .nan without quotes, {NUMBER}"),
        ("a: -.inf", f"1: a: has -.inf without quotes, {NUMBER}"),
        ("a: 1e999", f"1: a: has 1e999 without quotes, {NUMBER}"),
        ("a: " + "9" * 6000, f"1: a: has {'9' * 64}... without quotes, {NUMBER}"),
        ("? [a]\n: 1", "1: has a key that is not plain text; write the key as one word, and {{ }} in quotes"),
        ("a: {{ b }}", "1: a: has a key that is not plain text; write the key as one word, and {{ }} in quotes"),
        (
            "a: *.parquet",
            (
                "1: is not YAML: while scanning an alias did not find expected alphabetic or numeric character; "
                "put text that starts with * or & in quotes"
            ),
        ),
        ("a: *glob", "1: is not YAML: *glob names no anchor; put text that starts with * in quotes"),
        (
            "a: 1\nb: [1, 2",
            (
                "2: is not YAML: while parsing a flow sequence did not find expected ',' or ']'; "
                "check the indentation and the quotes"
            ),
        ),
        (
            "a:\n\t- b",
            (
                "2: is not YAML: while scanning for the next token found character that cannot start any token; "
                "indent with spaces, not tabs, and put text that starts with %, @ or ` in quotes"
            ),
        ),
        (
            "a: b: c",
            (
                "1: is not YAML: mapping values are not allowed in this context; "
                "put text with a colon in quotes, and check the indentation"
            ),
        ),
        (
            'a: "\\ud83d\\ude00"',
            (
                "1: is not YAML: while parsing a quoted scalar found invalid Unicode character escape code; "
                "write the character itself"
            ),
        ),
        (
            'a: "\\d"',
            (
                "1: is not YAML: while parsing a quoted scalar found unknown escape character; "
                "write the backslash twice, or use single quotes"
            ),
        ),
        (
            "%YAML 9.9\n---\na: 1",
            "1: is not YAML: found incompatible YAML document; check the indentation and the quotes",
        ),
        ("é: 1\nb: \x07", f"2: holds a character that YAML does not allow ('\\x07'); {ESCAPE}"),
        ("a: b\0c", f"1: holds a character that YAML does not allow ('\\x00'); {ESCAPE}"),
        ("a: 1\n---\nb: \ud800", f"3: holds a character that YAML does not allow ('\\ud800'); {ESCAPE}"),
    ],
)
def test_what_is_no_plain_data_is_refused(text, problem):
    assert problems(text) == [problem]


def test_every_problem_of_a_document_is_listed():
    text = "a: yes\nb: !x 1\na: 2\nc: {d: 0777, e: [.nan]}\n"
    assert [line.split(" ")[:2] for line in problems(text)] == [
        ["1:", "a:"],
        ["2:", "b:"],
        ["3:", "a:"],
        ["4:", "c.d:"],
        ["4:", "c.e[0]:"],
    ]


def test_a_document_that_is_no_yaml_does_not_hide_the_others():
    text = "a: yes\n---\nb: [\n---\nc: 3\n--- {\n---\nd: @\n---\ne: no\n"
    found, problems = read_documents(text, "f.yaml")
    assert [(document.value, document.wrong) for document in found] == [
        ({"a": None}, True),
        (None, True),
        ({"c": 3}, False),
        (None, True),
        (None, True),
        ({"e": None}, True),
    ]
    assert found[2].line(("c",)) == 5
    assert [problem.line for problem in problems] == [1, 3, 6, 8, 10]


def test_a_document_with_a_problem_is_not_to_be_used_and_keeps_what_could_be_read():
    ((document,), _) = read_documents("name: a\nonline: yes", "f.yaml")
    assert (document.value, document.wrong) == ({"name": "a", "online": None}, True)


# What is too much


@pytest.mark.parametrize("levels", [60, 70, 10_000, 1_000_000])
@pytest.mark.parametrize(
    "nest",
    [
        lambda n: "[" * n + "]" * n,
        lambda n: "{a: " * n + "1" + "}" * n,
        lambda n: "- " * min(n, 20_000) + "1",
        lambda n: "? " * min(n, 20_000) + "a",
    ],
    ids=["lists", "mappings", "dashes", "keys"],
)
def test_depth_is_bounded_and_ends_no_process(nest, levels):
    started = time.monotonic()
    assert any("is nested more than 64 deep" in problem for problem in problems(nest(levels))) == (levels > 64)
    assert time.monotonic() - started < 5


def test_aliases_cannot_make_a_document_deeper():
    lines = ["a0: &a0 [1]", *(f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 40))]
    assert {problem.split(": ")[2] for problem in problems("\n".join(lines))} == {
        "is nested more than 64 deep; flatten it"
    }


def test_a_bomb_of_aliases_is_refused_once_and_soon():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(lines)
    started = time.monotonic()
    (problem,) = problems("\n---\n".join([text] * 20))
    assert problem.endswith(": repeats too much by aliases; write the values out")
    assert time.monotonic() - started < 5


def test_what_many_documents_write_out_is_no_repetition(monkeypatch):
    monkeypatch.setattr(module, "MOST_REPEATED", 3)
    assert len(read("---\na: &x 1\nb: [2, 3, 4, 5]\nc: *x\n" * 3)) == 3
    assert len(problems("---\na: &x 1\nb: [2, 3, 4, 5]\nc: *x\n" * 5)) == 1


def test_a_document_with_too_many_values_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_NODES", 10)
    assert problems("[1, 2, 3, 4, 5, 6, 7, 8, 9]\n---\n[1]") == []
    assert problems("\n[1, 2, 3, 4, 5,\n 6, 7, 8, 9, 10]") == ["3: holds more than 10 values in one document; split it"]


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_TEXT", 2**20)
    assert problems("#" * (2**20 + 1)) == ["1: is larger than 1 MiB; split the file"]


# Whatever the text


soup = st.lists(
    st.sampled_from(
        [
            "a",
            "b: ",
            "- ",
            "\n",
            "  ",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "# c\n",
            "[",
            "]",
            "{",
            "}",
            ", ",
            ": ",
            "&x ",
            "*x",
            "!!str ",
            "!t ",
            "<<: ",
            "'",
            '"',
            "\\",
            "|",
            ">",
            "? ",
            "~",
            "yes",
            "0o7",
            "1.5",
            "\t",
            "\r",
            "\x85",
            "\u2028",
            "\ufeff",
            "\0",
            "é",
            "\ud800",
        ]
    ),
    max_size=30,
).map("".join)


@given(soup | st.text(st.characters()))
@example("--- a\n--- [\n--- b")
def test_no_text_makes_the_reader_raise(text):
    found, problems = read_documents(text, "f.yaml")
    for document in found:
        assert json.loads(json.dumps(document.value)) == document.value
        assert all(1 <= line <= len(text) + 1 for line in document.lines.values())
    for problem in problems:
        assert problem.remedy
        assert 1 <= problem.line <= len(text) + 1
        assert str(problem).isprintable()
        assert str(problem).encode()


texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**60), 10**60) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(values.filter(lambda value: value is not None), min_size=1, max_size=3))
def test_what_is_written_is_read_letter_by_letter(items):
    assert read(to_yaml(*items)) == items


@given(values.filter(lambda value: value is not None))
def test_json_is_read_but_for_escaped_pairs_of_surrogates(item):
    text = json.dumps(item).replace("\x7f", "\\u007f")
    if not re.search(r"\\ud[89a-f]", text):
        assert read(text) == [item]


@given(soup)
def test_cutting_a_file_into_documents_loses_nothing_that_pyyaml_reads(text):
    try:
        list(yaml.parse(text, Loader=yaml.CBaseLoader))
    except (yaml.YAMLError, UnicodeEncodeError):
        return
    problems = read_documents(text, "f.yaml")[1]
    assert not [problem for problem in problems if re.search("is not YAML: (?!.*names no anchor)", problem.message)]
