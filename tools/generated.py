"""What the tools that write generated files have in common: write them, or with --check say where they differ."""

import argparse
import sys
from collections.abc import Callable, Sequence


def write_or_check(
    about: str, write: Callable[[], None], check: Callable[[], str], arguments: Sequence[str] | None = None
) -> int:
    """The exit status: with --check 1 where `check` finds a difference, which is printed."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; print the difference and exit with 1 if there is one"
    )
    if not parser.parse_args(arguments).check:
        write()
        return 0
    difference = check()
    sys.stdout.write(difference)
    return 1 if difference else 0
