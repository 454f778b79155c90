"""`mmdist runs`: what is in a storage location."""

import json

import click

from mmdist.runtime.find import list_runs
from mmdist.runtime.views import run_row, runs_table

__all__ = ["command"]


@click.command("runs")
@click.option("--storage", default="runs", show_default=True, metavar="URL", help="Folder or URL with the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(storage: str, as_json: bool) -> None:
    """List runs, oldest first."""
    rows = [run_row(run) for run in list_runs(storage)]
    if as_json:
        click.echo(json.dumps(rows))
    elif rows:
        click.echo(runs_table(rows))
    else:
        click.echo(f"no runs in {storage}", err=True)
