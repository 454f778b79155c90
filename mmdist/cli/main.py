"""The `mmdist` command: its sub-commands, imported on use, and the exit code of whatever happens."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

import mmdist
from mmdist.cli.errors import print_bug, print_error, print_usage_error
from mmdist.cli.options import Options, with_shared_options
from mmdist.errors import MmdistError

__all__ = ["cli", "main", "run"]

COMMANDS = {
    "submit": "Run a job: import, train, evaluate or predict.",
    "check": "Check a job file and its data; starts nothing.",
    "verify": "Prove on a job, shrunk, that replicas, resume and ledger are exact.",
    "lr": "Find a learning rate for a train job.",
    "runs": "List runs.",
    "status": "Show how a run is doing.",
    "logs": "Print a run's log.",
    "stop": "Ask a run to checkpoint and stop.",
    "report": "Render a run's report again.",
    "data": "Look into a dataset.",
    "schema": "Print the JSON Schema of the job file.",
}
"""Commands in the order of the help, each in the module of its name as `command`."""

KINDS = ("import", "train", "evaluate", "predict")
_INTERRUPTED = 130


class _LazyGroup(click.Group):
    """Knows its commands by name and imports only the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mmdist.cli.{cmd_name}").command
        return with_shared_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from mmdist.spec.suggest import nearest  # the models come with it: too slow for every start

            near = nearest(name, COMMANDS)
            hint = f"Did you mean `{near}`?" if near is not None else f"There are: {', '.join(COMMANDS)}."
            if name in KINDS:
                hint = f"A job of that kind is run by `mmdist submit JOB.yaml`, with `kind: {name}` in the file."
            raise click.UsageError(f"no command `{name}`. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Click's own would import every command for its help.
        names = [CompletionItem(name, help=COMMANDS[name]) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of stdout (`| head`) has what it wanted. Caught here: click would exit with 1.
            _forget_stdout()
            return 0


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mmdist.__version__, message="mmdist %(version)s")
def cli() -> None:
    """Train and run models that read pictures and text together, on this machine or a Ray cluster.

    Exit codes: 0 done; 2 usage or job file; 3 data refused; 4 resources missing; 5 training failed;
    6 worker lost; 130 stopped; 1 a bug in mmdist.
    """


with_shared_options(cli)


def run(arguments: Sequence[str]) -> int:
    """Runs a command line, prints its error if it has one, and returns the exit code."""
    options = Options()
    try:
        result = cli.main(args=list(arguments), prog_name="mmdist", standalone_mode=False, obj=options)
        sys.stdout.flush()
    except MmdistError as error:
        if error.exit_code == 1:
            print_bug(error, debug=options.debug, log_format=options.log_format, arguments=arguments)
        else:
            print_error(error, log_format=options.log_format)
        return error.exit_code
    except click.ClickException as error:
        print_usage_error(error, log_format=options.log_format)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except Exception as error:
        print_bug(error, debug=options.debug, log_format=options.log_format, arguments=arguments)
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """The console script."""
    exit_code = run(sys.argv[1:])
    if "ray" in sys.modules:
        from mmdist.runtime.driver import leave

        leave(exit_code)
    sys.exit(exit_code)


def _forget_stdout() -> None:
    """Points stdout at nothing, so that flushing it at exit cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
