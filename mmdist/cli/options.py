"""The options that every command has: a command takes them with `@pass_options`."""

from dataclasses import dataclass

import click

__all__ = ["Options", "pass_options"]


@dataclass
class Options:
    """What was asked of every command. Filled in before a command starts."""

    debug: bool = False
    """Whether a bug shows its traceback on the screen."""
    log_format: str = "text"
    """`text` for people, `json` for machines: one object per line on stderr."""


pass_options = click.make_pass_decorator(Options, ensure=True)
