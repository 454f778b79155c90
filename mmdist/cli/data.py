"""`mmdist data`: looks into a dataset."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmdist.errors import UsageError

if TYPE_CHECKING:
    from mmdist.spec.data import ColumnsSpec

__all__ = ["command"]

_PARTS = ("id", "image", "text", "label")
_SHOWN_LABELS = 12


@click.group("data")
def command() -> None:
    """Look into a dataset."""


@command.command("inspect")
@click.argument("path")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write a page with a contact sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
@click.option(
    "--columns", multiple=True, metavar="PART=COLUMN", help="A column by its part: image=picture. Default: by name."
)
def inspect(path: str, html_file: str | None, as_json: bool, columns: tuple[str, ...]) -> None:
    """Look through PATH, a dataset or one folder of Parquet shards: counts, balance, leakage, bad rows."""
    chosen = _columns(columns)
    from mmdist.data.inspection import inspect_dataset  # pyarrow comes with it: --help needs none

    with _progress() as progress:
        inspection = inspect_dataset(path, chosen, progress)
    if html_file is not None:
        from mmdist.data.contact_sheet import render_contact_sheet

        target = Path(html_file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render_contact_sheet(inspection), encoding="utf-8")
        click.echo(f"wrote {html_file}", err=True)
    if as_json:
        click.echo(json.dumps(inspection.facts, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(inspection.facts)))


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


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['path']}: {facts['rows']:,} rows"
    for name, split in facts["splits"].items():
        yield f"{name}"
        for title, text in _split_lines(split):
            yield f"  {title:<11} {text}"
    for finding in facts["findings"]:
        yield f"{finding['level']}: {finding['text']}"
    if not facts["findings"]:
        yield "nothing stands out"


def _split_lines(split: dict[str, Any]) -> Iterator[tuple[str, str]]:
    groups = split["rows_per_group"]
    yield "rows", f"{split['rows']:,}, {split['bytes'] / 1024**2:,.1f} MiB"
    yield (
        "shards",
        f"{split['shards']:,}, {split['row_groups']:,} row groups of {groups['least']:,} to {groups['most']:,} rows",
    )
    if split["labels"]:
        labels = sorted(split["labels"].items(), key=lambda entry: (-entry[1], entry[0]))
        rest = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
        shown = ", ".join(f"{label} {rows:,}" for label, rows in labels[:_SHOWN_LABELS])
        yield "labels", f"{len(labels)}: {shown}{rest}"
    if split["pictures_looked_at"]:
        formats = ", ".join(f"{rows:,} {kind}" for kind, rows in split["formats"].items())
        yield "pictures", f"{formats or 'none'}; {split['pictures_decoded']:,} decoded to check them"
    if split["heights"]:
        high, wide = split["heights"], split["widths"]
        yield "sizes", f"height {high['least']} to {high['most']}, width {wide['least']} to {wide['most']} pixels"
    if split["words"]:
        words = split["words"]
        yield "words", f"median {words['median']}, 95% up to {words['p95']}, most {words['most']} per text"
    absent = ", ".join(f"{rows:,} without {part}" for part, rows in split["nulls"].items() if rows)
    if absent:
        yield "absent", absent
    if split["bad_rows"]:
        row = split["bad_rows_shown"][0]
        yield (
            "bad rows",
            f"{split['bad_rows']:,}; the first: {row['shard']}#{row['row']} {row['column']}: {row['reason']}",
        )
