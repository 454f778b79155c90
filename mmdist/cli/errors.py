"""Prints errors on stderr, as text or JSON; keeps the traceback of a bug in a file."""

import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import TextIO

import click

import mmdist
from mmdist.errors import MmdistError, MultipleJobFileError

__all__ = ["print_bug", "print_error", "print_usage_error", "use_color"]

_LABELS = ("expected", "received", "to do")


def use_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and NO_COLOR (no-color.org) does not forbid them."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_error(error: MmdistError, *, log_format: str) -> None:
    """Prints an error of mmdist's own, or each of several."""
    errors: Sequence[MmdistError] = error.errors if isinstance(error, MultipleJobFileError) else [error]
    for single in errors:
        if log_format == "json":
            _write(_as_json(single), color=False)
        else:
            _write(_as_text(single), color=use_color(sys.stderr))
    if len(errors) > 1 and log_format == "text":
        _write(f"{len(errors)} errors", color=False)


def print_usage_error(error: click.ClickException, *, log_format: str) -> None:
    """Prints what is wrong with the command line, and where help is."""
    message = error.format_message()
    if log_format == "json":
        _write(json.dumps({"level": "error", "message": message, "exit_code": 2}), color=False)
        return
    color = use_color(sys.stderr)
    _write(f"{_label('error', color)} {message}", color=color)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        _write(f"{context.get_usage()}\nTry `{context.command_path} --help`.", color=color)


def print_bug(error: BaseException, *, debug: bool, log_format: str, arguments: Sequence[str]) -> None:
    """Says that mmdist has a bug and where its traceback was written; with `debug`, shows it."""
    report = "".join(traceback.format_exception(error))
    where = _keep(report, arguments)
    message = (
        f"this is a bug in mmdist: {type(error).__name__}: {error}\n"
        f"  The traceback is in {where}. Please report it with what you ran; `mmdist --debug ...` shows it here."
    )
    if log_format == "json":
        _write(json.dumps({"level": "error", "message": message, "traceback": where, "exit_code": 1}), color=False)
        return
    color = use_color(sys.stderr)
    if debug:
        _write(report.rstrip(), color=color)
    _write(f"{_label('error', color)} {message}", color=color)


def _as_text(error: MmdistError) -> str:
    color = use_color(sys.stderr)
    head, *rest = str(error).split("\n")
    lines = [f"{_label('error', color)} {head}"]
    for line in rest:
        name, colon, text = line.strip().partition(":")
        is_labelled = bool(colon) and name in _LABELS
        lines.append(f"  {click.style(f'{name}:', dim=True)}{text}" if color and is_labelled else line)
    return "\n".join(lines)


def _as_json(error: MmdistError) -> str:
    place = error.place
    record = {
        "level": "error",
        "message": error.message,
        "expected": error.expected,
        "received": error.received,
        "remedy": error.remedy,
        "file": place.file if place is not None else None,
        "line": place.line if place is not None else None,
        "column": place.column if place is not None else None,
        "key": place.key if place is not None else None,
        "exit_code": error.exit_code,
    }
    return json.dumps({name: value for name, value in record.items() if value is not None}, ensure_ascii=False)


def _label(word: str, color: bool) -> str:
    return click.style(f"{word}:", fg="red", bold=True) if color else f"{word}:"


def _keep(report: str, arguments: Sequence[str]) -> str:
    try:
        descriptor, path = tempfile.mkstemp(prefix="mmdist-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", errors="backslashreplace") as file:
            file.write(
                f"mmdist {mmdist.__version__}, Python {platform.python_version()}, {platform.platform()}\n"
                f"mmdist {' '.join(arguments)}\n\n{report}"
            )
    except OSError as error:
        return f"no file ({error})"
    return path


def _write(text: str, *, color: bool) -> None:
    click.echo(text, err=True, color=color)
