"""YAML text to documents: plain values, and the line of every field.

libyaml reads the text; its events are made into nodes and the nodes into values here, because PyYAML's loaders execute
tags or forget lines, and its composer calls itself in C for each level: 100,000 brackets end the process. What is
accepted is what the API server accepts: mappings, sequences and scalars of YAML's core types. Tags, merge keys, aliases
to themselves or of aliases without end are refused, and so is what kubectl and YAML 1.2 read differently.

Each document is read by itself, so that one that is no YAML does not hide what is wrong with the next.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml._yaml import CParser

from featureplane.errors import Problem

Path = tuple[str | int, ...]

# An object in the API server holds at most 1.5 MiB; a file may hold some thousands of objects.
LONGEST_TEXT = 32 * 1024 * 1024
MOST_NODES = 2_000_000
# Values of one file that stand there only by an alias.
MOST_REPEATED = 100_000
DEEPEST = 64

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Words that YAML 1.1 read as booleans: kubectl still does in places, so neither reading is safe to guess.
_OLD_BOOLEANS = frozenset(
    each for word in ("y", "yes", "n", "no", "on", "off") for each in (word, word.title(), word.upper())
)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
# Octal to some and decimal to others; binary; digits with _ between them; what JSON has no number for.
_NUMBER_TO_SOME = re.compile(
    r"[-+]?(0[0-9_]+|[0-9]+(_+[0-9]+)+|0b[01]+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)|[-+]0[xo][0-9a-fA-F]+", re.ASCII
)
_LONGEST_NUMBER = 64
_LONGEST_KEY = 40

# Where a document begins, its directives and comments included (YAML 1.2, "c-directives-end"): such a line ends
# whatever stood open before it. The bounds keep the search linear.
_START = re.compile(r"^(?:%[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\n){0,8}){0,4}---(?=\s|\Z)", re.MULTILINE)

_REMEDIES = {
    "found character that cannot start any token": (
        "indent with spaces, not tabs, and put text that starts with %, @ or ` in quotes"
    ),
    "mapping values are not allowed in this context": "put text with a colon in quotes, and check the indentation",
    "did not find expected alphabetic or numeric character": "put text that starts with * or & in quotes",
    "found invalid Unicode character escape code": "write the character itself",
    "found unknown escape character": "write the backslash twice, or use single quotes",
}


@dataclass(frozen=True)
class Document:
    """One document of a file: its value, and where each field of it stands.

    `wrong`: a part of it could not be read and is None; it is there to be named by others, and not to be used.
    """

    file: str
    value: Any
    lines: dict[Path, int] = field(repr=False)
    wrong: bool = False

    def line(self, path: Path) -> int:
        """The line of the field at `path`, or of the nearest field around it that is there; 0 without a file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read_documents(text: str, file: str) -> tuple[list[Document], list[Problem]]:
    """Every document of `text`, and every problem found on the way. Empty documents are passed over."""
    if len(text) > LONGEST_TEXT:
        unread = Document(file, None, {}, wrong=True)
        return [unread], [Problem(file, 1, "", f"is larger than {LONGEST_TEXT // 2**20} MiB", "split the file")]
    reader = _Reader(file)
    for part, line in _parts(text):
        reader.read(part, line)
    return reader.documents, reader.problems


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The text cut before each line that begins a document, with the number of the line that each part starts on."""
    start, line = 0, 1
    for found in _START.finditer(text):
        if found.start() > start:
            yield text[start : found.start()], line
            line += text.count("\n", start, found.start())
            start = found.start()
    yield text[start:], line


@dataclass(slots=True)
class _Node:
    """A scalar has text (`plain`: without quotes), a sequence items, a mapping pairs of key and value."""

    line: int
    tag: str | None
    text: str | None = None
    plain: bool = False
    items: "list[_Node] | None" = None
    pairs: "list[tuple[_Node, _Node]]" = field(default_factory=list)
    seen: bool = False


class _Unreadable(Exception):
    """Nothing more can be read of this document: line, message, remedy."""


class _Composer:
    """libyaml's events of one document to nodes; an alias is the very node that it stands for."""

    def __init__(self, text: str, first_line: int) -> None:
        self._parser = CParser(text)
        self._first_line = first_line
        self._anchors: dict[str, _Node] = {}
        self._nodes = 0

    def documents(self) -> Iterator[_Node]:
        while not isinstance(event := self._parser.get_event(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                yield self._node(self._parser.get_event(), 0)

    def _node(self, event: Any, depth: int) -> _Node:
        """The node that starts with `event`."""
        line = self._first_line + event.start_mark.line
        self._nodes += 1
        if depth > DEEPEST:
            raise _Unreadable(line, f"is nested more than {DEEPEST} deep", "flatten it")
        if self._nodes > MOST_NODES:
            raise _Unreadable(line, f"holds more than {MOST_NODES} values in one document", "split it")
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            if name not in self._anchors:
                remedy = "put text that starts with * in quotes"
                raise _Unreadable(line, f"is not YAML: *{name[:40]} names no anchor", remedy)
            return self._anchors[name]
        node = _Node(line, event.tag)
        if event.anchor:
            self._anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.text, node.plain = event.value, not event.style
        elif isinstance(event, yaml.SequenceStartEvent):
            node.items = []
            while not isinstance(item := self._parser.get_event(), yaml.SequenceEndEvent):
                node.items.append(self._node(item, depth + 1))
        else:
            while not isinstance(key := self._parser.get_event(), yaml.MappingEndEvent):
                key_node = self._node(key, depth + 1)
                node.pairs.append((key_node, self._node(self._parser.get_event(), depth + 1)))
        return node


class _Reader:
    """Turns the nodes of a file's documents into values; collects problems instead of stopping at the first."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._lines: dict[Path, int] = {}
        self._repeated = 0

    def read(self, text: str, first_line: int) -> None:
        """Read one part of the file. What follows a mistake in the syntax cannot be read."""
        try:
            for node in _Composer(text, first_line).documents():
                self._document(node)
        except _Unreadable as end:
            self._give_up(end.args[0], end.args[1], end.args[2])
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark  # one line after the end for what is never closed
            line = first_line + min(mark.line, text.rstrip().count("\n"))
            what = " ".join(part for part in (error.context, error.problem) if part)
            remedy = _REMEDIES.get(str(error.problem), "check the indentation and the quotes")
            self._give_up(line, f"is not YAML: {what}", remedy)
        except (yaml.reader.ReaderError, UnicodeEncodeError) as error:
            before = _before(error, text)
            character = ascii(text[len(before) : len(before) + 1])
            remedy = r'take it out, or write it in double quotes as an escape like "\x07"'
            line = first_line + before.count("\n")
            self._give_up(line, f"holds a character that YAML does not allow ({character})", remedy)

    def _give_up(self, line: int, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.file, line, "", message, remedy))
        self.documents.append(Document(self.file, None, {}, wrong=True))

    def _document(self, node: _Node) -> None:
        self._lines, before = {}, len(self.problems)
        value = self._value(node, (), ())
        wrong = len(self.problems) > before
        if value is not None or wrong:
            self.documents.append(Document(self.file, value, self._lines, wrong))

    def _value(self, node: _Node, path: Path, above: tuple[int, ...]) -> Any:  # noqa: PLR0911 - a list of refusals
        self._lines.setdefault(path, node.line)
        if id(node) in above:
            return self._refuse(node, path, "holds an alias to itself", "write the values out")
        if len(above) > DEEPEST:
            return self._refuse(node, path, f"is nested more than {DEEPEST} deep", "flatten it")
        self._repeated += node.seen
        if self._repeated > MOST_REPEATED:
            return self._refuse_once(node, path, "repeats too much by aliases", "write the values out")
        node.seen = True
        if node.tag is not None:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")[:60]
            return self._refuse(
                node, path, f"has the YAML tag {tag!a}", "leave the tag out; only plain values are read"
            )
        if node.text is not None:
            return self._scalar(node, node.text, path)
        above = (*above, id(node))
        if node.items is not None:
            return [self._value(item, (*path, index), above) for index, item in enumerate(node.items)]
        return self._mapping(node.pairs, path, above)

    def _mapping(self, pairs: list[tuple[_Node, _Node]], path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in pairs:
            key = key_node.text
            if key is None:
                self._refuse(
                    key_node, path, "has a key that is not plain text", "write the key as one word, and {{ }} in quotes"
                )
            elif key_node.tag is not None:
                self._value(key_node, path, above)
            elif key_node.plain and key == "<<":
                self._refuse(key_node, path, "uses the merge key <<", "write the fields out")
            elif key_node.plain and key in _OLD_BOOLEANS:
                self._scalar(key_node, key, (*path, key))
            elif key in result:
                first = self._lines[(*path, key)]
                self._refuse(
                    key_node, (*path, key), f"stands here a second time, after line {first}", "keep one of them"
                )
            else:
                self._lines[(*path, key)] = key_node.line
                result[key] = self._value(value_node, (*path, key), above)
        return result

    def _scalar(self, node: _Node, text: str, path: Path) -> Any:
        if not node.plain:
            return text
        if text in _OLD_BOOLEANS:
            message = f"has {text} without quotes, which some readers take for true or false"
            return self._refuse(node, path, message, f'write "{text}", true or false')
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        try:
            return _number(text)
        except ValueError:
            shown = text if len(text) <= _LONGEST_NUMBER else text[:_LONGEST_NUMBER] + "..."
            message = f"has {shown} without quotes, which not every reader takes for the same number"
            return self._refuse(node, path, message, "put it in quotes where it is text, else write a plain number")

    def _refuse(self, node: _Node, path: Path, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.file, node.line, field_path(path), message, remedy))

    def _refuse_once(self, node: _Node, path: Path, message: str, remedy: str) -> None:
        if not any(known.message == message for known in self.problems):
            self._refuse(node, path, message, remedy)


def _before(error: yaml.reader.ReaderError | UnicodeEncodeError, text: str) -> str:
    """What stands before the character that is refused: most control characters, and halves of a surrogate pair."""
    if isinstance(error, UnicodeEncodeError):
        return text[: error.start]
    return text.encode()[: error.position].decode(errors="ignore")  # libyaml counts bytes


def _number(text: str) -> Any:
    """A plain scalar as YAML 1.2's core schema reads it; dates and sexagesimal numbers stay text, as in kubectl.

    Raises ValueError for a number that other readers take for another one, or for none.
    """
    if not re.match(r"[-+.0-9]", text, re.ASCII):
        return text
    if _NUMBER_TO_SOME.fullmatch(text):
        raise ValueError(text)
    number: int | float | str
    if _INTEGER.fullmatch(text):
        number = 0 if len(text) > _LONGEST_NUMBER else int(text)
    elif _HEXADECIMAL.fullmatch(text):
        number = int(text, 0)
    elif _FLOAT.fullmatch(text):
        number = float(text)
    else:
        return text
    if len(text) > _LONGEST_NUMBER or not math.isfinite(number):
        raise ValueError(text)
    return number


def field_path(path: Path) -> str:
    """`("spec", "features", 2, "type")` as `spec.features[2].type`; long keys are cut, control characters escaped."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", part):
            text += f".{part}" if text else part
        else:
            shown = part if len(part) <= _LONGEST_KEY else part[: _LONGEST_KEY - 3] + "..."
            text += f"[{shown!a}]"
    return text
