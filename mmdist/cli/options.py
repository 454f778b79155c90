"""The options that every command has, before its name or after it; it reads them by `@pass_options`."""

from dataclasses import dataclass
from typing import Any

import click

__all__ = ["Options", "override_option", "pass_options", "with_shared_options"]


@dataclass
class Options:
    """What was asked of every command. Filled in before a command starts."""

    debug: bool = False
    """Whether a bug shows its traceback on the screen."""
    log_format: str = "text"
    """`text` for people, `json` for machines: one object per line on stderr."""


override_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the job; repeatable.",
)
"""For commands that read a job file."""

pass_options = click.make_pass_decorator(Options, ensure=True)


def with_shared_options(command: click.Command) -> click.Command:
    """Gives a command and those below it the shared options, unless they have them."""
    for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
        if all(parameter.name != "debug" for parameter in each.params):
            each.params += _shared()
    return command


def _shared() -> list[click.Parameter]:
    # Eager, with a callback: they are known before anything else on the command line can be found wrong.
    return [
        click.Option(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="Show the traceback of a bug.",
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice(["text", "json"]),
            is_eager=True,
            expose_value=False,
            callback=_remember,
            help="How progress and errors are written on stderr.  [default: text]",
        ),
    ]


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        setattr(ctx.ensure_object(Options), str(parameter.name), value)
