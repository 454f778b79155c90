"""`mmdist data`: looks into a dataset."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmdist.errors import UsageError

if TYPE_CHECKING:
    from mmdist.spec.data import ColumnsSpec

__all__ = ["command"]

_PARTS = ("id", "image", "text", "audio", "label")
_COLORS = {"problem": "red", "advice": "yellow"}


@click.group("data")
def command() -> None:
    """Look into a dataset."""


@command.command("inspect", short_help="Look through a dataset or a folder of shards.")
@click.argument("path")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write a page with a contact sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
@click.option("--all", "everything", is_flag=True, help="Read and decode all pictures and recordings.")
@click.option(
    "--columns", multiple=True, metavar="PART=COLUMN", help="A column by its part: image=picture. Default: by name."
)
def inspect(path: str, html_file: str | None, as_json: bool, everything: bool, columns: tuple[str, ...]) -> None:
    """Look through PATH, a dataset or one folder of Parquet shards: counts, balance, leakage, bad rows.

    PATH is local or a URL. Ids, labels and texts are read in full, and of many or large files evenly spaced ones.
    """
    chosen = _columns(columns)
    from mmdist.data.inspection import inspect_dataset  # pyarrow comes with it: --help needs none

    with _progress() as progress:
        inspection = inspect_dataset(path, chosen, progress, everything=everything)
    if html_file is not None:
        from mmdist.data.contact_sheet import render_contact_sheet

        target = Path(html_file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_contact_sheet(inspection), encoding="utf-8")
        click.echo(f"wrote {html_file}", err=True)
    if as_json:
        click.echo(json.dumps(inspection.facts, ensure_ascii=False))
    else:
        from mmdist.cli.data_facts import fact_lines

        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else None
        for line in fact_lines(inspection.facts, width):
            click.echo(_colored(line) if is_terminal else line)


def _columns(given: tuple[str, ...]) -> "ColumnsSpec | None":
    if not given:
        return None
    from mmdist.spec.data import ColumnsSpec

    chosen: dict[str, str] = {}
    for entry in given:
        for pair in entry.split(","):
            part, equals, column = pair.partition("=")
            if part not in _PARTS or not equals or not column:
                raise UsageError(
                    "--columns cannot be read",
                    expected=f"PART=COLUMN with PART one of {', '.join(_PARTS)}",
                    received=pair,
                    remedy="for example --columns image=picture --columns label=class",
                )
            chosen[part] = column
    return ColumnsSpec(**chosen)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr where that is a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking at rows", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _colored(line: str) -> str:
    level, colon, text = line.partition(":")
    return click.style(level + colon, fg=_COLORS[level]) + text if level in _COLORS else line
