"""Errors that Redis answers with. Pure."""

import re

_MOST = 200
# What stands before the error of a command in a script, until Redis 7.
_AROUND = re.compile(r"^.*?@user_script: ?\d+: -?(?=[A-Z]+ )")


def unwrapped(error: str) -> str:
    """The error of the command itself, where it happened in a script."""
    return _AROUND.sub("", error)


def code_of(error: str) -> str:
    """The code that an error begins with."""
    return (error.split(maxsplit=1) or [""])[0]


def first_line(error: str) -> str:
    """An error's first line, short and printable, without the arguments of ours that Redis may repeat in it."""
    line = (error.splitlines() or [""])[0].split(", with args beginning with:")[0]
    return "".join(character if character.isprintable() else "?" for character in line)[:_MOST]
