"""`mmdist report`: renders a run's report again from what the run recorded."""

import click

from mmdist.runtime.find import find_run

__all__ = ["command"]


@click.command("report")
@click.argument("run", default="latest")
@click.option("--open", "show", is_flag=True, help="Show it in the browser.")
@click.option("--storage", default="runs", show_default=True, metavar="URL", help="Folder or URL with the runs.")
def command(run: str, show: bool, storage: str) -> None:
    """Render RUN's report again and print where it is. Needs no cluster."""
    # Late, for it brings the plotting library.
    from mmdist.evaluation.report import render_report

    store = find_run(run, storage)
    render_report(store)
    path = f"{store.url}/report/report.html"
    click.echo(path)
    if show:
        click.launch(path)
