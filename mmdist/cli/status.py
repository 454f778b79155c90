"""`mmdist status`: how a run is doing, read from its directory."""

import json

import click

from mmdist.runtime.find import find_run
from mmdist.runtime.views import run_details, status_text

__all__ = ["command"]


@click.command("status")
@click.argument("run", default="latest")
@click.option("--storage", default="runs", show_default=True, metavar="URL", help="Folder or URL with the runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(run: str, storage: str, as_json: bool) -> None:
    """Show how RUN is doing: an id, its beginning, `latest`, `JOB@latest` or a folder."""
    details = run_details(find_run(run, storage))
    click.echo(json.dumps(details, default=str) if as_json else status_text(details))
