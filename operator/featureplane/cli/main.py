"""The `featureplane` command: its subcommands, and how every error ends (exit status 2, one clear text)."""

import os
import signal
import sys
import traceback
from importlib.metadata import version
from typing import Annotated, TextIO

import typer

from featureplane.cli.apply import apply
from featureplane.cli.console import complain, counted, escape_what_cannot_be_encoded, printable, report, say
from featureplane.cli.doctor import doctor
from featureplane.cli.import_ import import_
from featureplane.cli.materialize import materialize
from featureplane.cli.online import get_online_features
from featureplane.cli.operator import operator
from featureplane.cli.plan import plan
from featureplane.cli.purge import purge
from featureplane.cli.remote import offline_server, registry_server
from featureplane.cli.render import render
from featureplane.cli.serve import serve
from featureplane.cli.up import up
from featureplane.cli.validate import validate
from featureplane.errors import FeatureplaneError, InputError

ERROR = 2

app = typer.Typer(
    name="featureplane",
    help="Feast features as Kubernetes objects. On a laptop the same YAML runs on an embedded PostgreSQL and Redis.",
    epilog="Stores: embedded ones in .featureplane/; with FEATUREPLANE_STORES=environment those of PG* and "
    "FEATUREPLANE_REDIS_*.",
    no_args_is_help=True,
    add_completion=False,
    # Plain paragraphs, wrapped to the terminal: boxes and colours do not read well in a pipe.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (validate, render, plan, apply, materialize, purge, serve, up, doctor, operator):
    app.command()(command)
app.command("get-online-features")(get_online_features)
app.command("import")(import_)
app.command("registry-server")(registry_server)
app.command("offline-server")(offline_server)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"featureplane {version('featureplane')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What comes before the command. The help of the program stands with `app`."""


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
        app()
    except FeatureplaneError as error:
        report(error)
        if isinstance(error, InputError):
            complain(f"{counted(len(error.problems), 'problem')}; nothing was done")
        sys.exit(ERROR)


def _end(number: int, _frame: object) -> None:
    """Leave every `with` block on the way out, so that what was started is stopped."""
    sys.exit(128 + number)
