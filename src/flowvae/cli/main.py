"""The entry point: 0 when all went well, 2 and one sentence for bad input, 130 or 143 for an interrupt."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from flowvae.cli import bench, components, demo, runs, structure, studies, train, walks
from flowvae.cli.usage import UsageError, require_once, sentence
from flowvae.errors import InputError

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (demo, components, train, bench, runs, walks, structure, studies):
    group.add_to(app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Variational autoencoders whose structure, posterior, flow and likelihood are chosen independently."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"flowvae {installed('flowvae')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated as Ctrl-C."""

    code = 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    before = signal.signal(signal.SIGTERM, _terminate)
    log = logging.getLogger("flowvae")  # downloads, as they begin
    log.handlers = [logging.StreamHandler()]
    log.setLevel(logging.INFO)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.")  # of its compiler, to its authors
    command = typer.main.get_command(app)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        require_once(command, arguments)
        with command.make_context("flowvae", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as finished:
        return finished.exit_code
    except UsageError as error:
        return _complain(sentence(error), 2)
    except InputError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt as stopped:
        return _complain(str(stopped) or "interrupted", getattr(stopped, "code", 130))
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        _drop_output()
    except OSError as error:
        if error.errno is None:
            raise
        if error.filename is None:  # a full disk tells no name
            _drop_output()
        what = f"read or write {str(error.filename)!r}" if error.filename else "write"
        return _complain(f"expected to {what}; got: {error.strerror}", 2)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _drop_output() -> None:
    """What is still to be printed goes nowhere, so that the end of the process does not fail at it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    print("flowvae:", " ".join(message.split()), file=sys.stderr)
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
