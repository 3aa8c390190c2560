"""The `featureplane` command: its subcommands, and how every error ends (exit status 2, one clear text)."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, TextIO

import typer

from featureplane.cli.console import complain, counted, escape_what_cannot_be_encoded, printable, report, say
from featureplane.errors import FeatureplaneError, InputError

ERROR = 2

# Each command's module and function below featureplane.cli, in the order of the help.
_COMMANDS = {
    "validate": "validate.validate",
    "render": "render.render",
    "plan": "plan.plan",
    "apply": "apply.apply",
    "materialize": "materialize.materialize",
    "parity": "parity.parity",
    "purge": "purge.purge",
    "delete-rows": "delete_rows.delete_rows",
    "history": "history.history",
    "row-history": "row_history.row_history",
    "roll-back": "roll_back.roll_back",
    "serve": "serve.serve",
    "up": "up.up",
    "doctor": "doctor.doctor",
    "operator": "operator.operator",
    "apply-crds": "apply_crds.apply_crds",
    "let-go": "let_go.let_go",
    "get-online-features": "online.get_online_features",
    "training-set": "training_set.training_set",
    "export": "export.export_online",
    "import": "import_.import_",
    "registry-server": "remote.registry_server",
    "offline-server": "remote.offline_server",
}


def _application(arguments: Sequence[str]) -> typer.Typer:
    """The program with the command that `arguments` begin with; with every one where they name none, as for --help.

    The others are not even loaded: Arrow, NumPy and Redis would be a third of the memory of an operator at rest.
    """
    app = typer.Typer(
        name="featureplane",
        help="Feast features as Kubernetes objects. On a laptop the same YAML runs on an embedded PostgreSQL and "
        "Redis.",
        epilog="Stores: embedded ones in .featureplane/; with FEATUREPLANE_STORES=environment those of PG* and "
        "FEATUREPLANE_REDIS_*.",
        no_args_is_help=True,
        add_completion=False,
        # Plain paragraphs, wrapped to the terminal: boxes and colours do not read well in a pipe.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name in [name for name in arguments[:1] if name in _COMMANDS] or _COMMANDS:
        module, _, function = _COMMANDS[name].partition(".")
        app.command(name)(getattr(import_module(f"featureplane.cli.{module}"), function))
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"featureplane {version('featureplane')}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What comes before the command. The help of the program stands with its `Typer`."""


def main() -> None:
    """Run the command line and exit with its status."""
    escape_what_cannot_be_encoded()
    signal.signal(signal.SIGTERM, _end)
    try:
        _run()
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # whoever read our output has gone, as `| head` does
        _discard(sys.stdout, sys.stderr)
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        complain(printable(f"the system refused: {error}", longest=1000))
        _discard(sys.stdout)
        sys.exit(ERROR)
    except Exception:  # noqa: BLE001 - a defect of ours; for `plan` the interpreter's status would mean a difference
        traceback.print_exc()
        complain("this is a defect of Featureplane's; please report it with the lines above")
        sys.exit(ERROR)


def _discard(*streams: TextIO) -> None:
    """Let what is still to be written go nowhere: at exit nothing may fail over it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


def _run() -> None:
    try:
        _application(sys.argv[1:])()
    except FeatureplaneError as error:
        report(error)
        if isinstance(error, InputError):
            complain(f"{counted(len(error.problems), 'problem')}; nothing was done")
        sys.exit(ERROR)


def _end(number: int, _frame: object) -> None:
    """Leave every `with` block on the way out, so that what was started is stopped."""
    sys.exit(128 + number)
