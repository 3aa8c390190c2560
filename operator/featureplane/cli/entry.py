"""Where the `featureplane` program begins: nothing is imported yet, so that Ctrl-C is met from the first moment on."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Load the command line and run it."""
    try:
        from featureplane.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run()
