"""`mmdist submit`: runs a job here or on a cluster; stdout carries the run's id, or JSON with `--json`."""

import json
import sys

import click

from mmdist.cli.errors import print_error
from mmdist.cli.options import Options, override_option, pass_options
from mmdist.runtime.failures import error_from_record
from mmdist.runtime.submit import Submission, SubmitRequest, submit
from mmdist.runtime.views import resume_command, run_details

__all__ = ["command"]


@click.command("submit")
@click.argument("job", required=False, type=click.Path(dir_okay=False))
@override_option
@click.option("--address", metavar="URL", help="A Ray cluster's dashboard. Default: $RAY_ADDRESS, else an own Ray.")
@click.option("--storage", metavar="URL", help="Folder or URL that the run is kept in, in place of the job's.")
@click.option("--detach", is_flag=True, help="Return as soon as the job is started.")
@click.option("--run-id", metavar="ID", help="Name the run; submitting under it again adopts the run.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped, failed or was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON at the end.")
@pass_options
def command(
    options: Options,
    job: str | None,
    overrides: tuple[str, ...],
    address: str | None,
    storage: str | None,
    detach: bool,
    run_id: str | None,
    resume: str | None,
    as_json: bool,
) -> int:
    """Run JOB: import, train, evaluate or predict.

    Ctrl-C once keeps what is done and stops; twice stops at once. Progress goes to stderr.

    \b
    Examples:
      mmdist submit jobs/train.yaml --set train.epochs=2
      mmdist submit jobs/predict.yaml --set data.input=photos/new
      mmdist submit --resume latest
      mmdist submit jobs/train.yaml --address http://127.0.0.1:8265 --detach
    """
    request = SubmitRequest(
        job_path=job,
        overrides=overrides,
        address=address,
        storage=storage,
        detach=detach,
        run_id=run_id,
        resume=resume,
        log_format="json" if options.log_format == "json" else "auto",
    )

    def announce(name: str) -> None:
        if not as_json:
            click.echo(name)
            sys.stdout.flush()

    ended = submit(request, announce=announce, stream=sys.stderr)
    if as_json:
        click.echo(json.dumps({**run_details(ended.run), "exit_code": ended.exit_code}, default=str))
    _print_ending(ended, log_format=options.log_format)
    return ended.exit_code


def _print_ending(ended: Submission, *, log_format: str) -> None:
    state = ended.state
    if state.error is not None and state.state == "failed":
        print_error(error_from_record(state.error), log_format=log_format)
    if log_format == "json":
        return
    if state.state == "succeeded":
        if state.report:
            click.echo(f"report: {state.report}", err=True)
        if state.output:
            click.echo(f"output: {state.output}", err=True)
        for name, value in state.metrics.items():
            click.echo(f"  {state.split} {name} {value:.4g}" if state.split else f"  {name} {value:.4g}", err=True)
        return
    if state.state == "running":
        click.echo(f"running; follow it with: mmdist status {ended.run.url}", err=True)
        return
    if state.state in ("failed", "interrupted"):
        click.echo(f"{state.state}; what it printed: mmdist logs {ended.run.url}", err=True)
    resume = resume_command(ended.run, state)
    if resume is not None and (state.state != "submitted" or ended.exit_code):
        click.echo(f"{'' if state.state == 'failed' else state.state + '; '}resume with: {resume}", err=True)
