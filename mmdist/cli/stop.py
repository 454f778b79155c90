"""`mmdist stop`: asks a run to keep what is done and stop."""

import time

import click

from mmdist.errors import UsageError
from mmdist.runtime.find import find_run
from mmdist.runtime.rundir import read_run_state, run_id_of
from mmdist.runtime.views import resume_command
from mmdist.storage import request_stop

__all__ = ["command"]

LOOK_EVERY_S = 0.5


@click.command("stop")
@click.argument("run")
@click.option("--storage", default="runs", show_default=True, metavar="URL", help="Folder or URL with the runs.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Whether to wait until it has stopped.")
def command(run: str, storage: str, wait: bool) -> None:
    """Ask RUN to write a checkpoint and stop."""
    store = find_run(run, storage)
    before = read_run_state(store)
    if before.state != "running":
        raise UsageError(f"the run {run_id_of(store)} is not running", received=before.state)
    request_stop(store, "mmdist stop")
    if not wait:
        click.echo(f"{run_id_of(store)}: asked to stop", err=True)
        return
    while (state := read_run_state(store)).state == "running":
        time.sleep(LOOK_EVERY_S)
    click.echo(f"{run_id_of(store)}: {state.state}", err=True)
    resume = resume_command(store, state)
    if resume is not None:
        click.echo(f"resume with: {resume}", err=True)
