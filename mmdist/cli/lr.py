"""`mmdist lr`: finds a learning rate for a train job; stdout carries the curve and the rate, or JSON with `--json`."""

import json

import click

from mmdist.cli.options import Options, override_option, pass_options
from mmdist.spec.load import load_job

__all__ = ["command"]

_RATE = click.FloatRange(min=0.0, min_open=True)


@click.command("lr")
@click.argument("job_file", metavar="JOB.yaml", type=click.Path())
@override_option
@click.option("--from", "first", type=_RATE, default=1e-6, show_default=True, help="Learning rate of the first step.")
@click.option("--to", "last", type=_RATE, default=1.0, show_default=True, help="Learning rate of the last step.")
@click.option("--steps", type=click.IntRange(min=20), default=100, show_default=True, help="Steps to train.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False), help="Draw the curve into a file.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_options
def command(
    options: Options,
    job_file: str,
    overrides: tuple[str, ...],
    first: float,
    last: float,
    steps: int,
    svg: str | None,
    as_json: bool,
) -> None:
    """Find a learning rate for a train job: train a few steps while the rate rises.

    The steps are the job's own first batches, from its first weights; no run is made, and the job's runs are left
    alone. The rate that is suggested is the one at which the loss falls fastest, at most a tenth of the one at which it
    is lowest. A schedule's rate is its highest.

    \b
    Examples:
      mmdist lr jobs/train.yaml
      mmdist lr jobs/train.yaml --set train.optimizer.type=sgd --from 1e-4 --to 10 --svg rates.svg
    """
    if first >= last:
        raise click.UsageError(f"--from must be below --to; received {first:g} and {last:g}")
    loaded = load_job(job_file, overrides)
    from mmdist.runtime.finding_rates import draw, find_rate, page  # a job file that is wrong needs none of it

    def announce(what: str) -> None:
        if options.log_format != "json":
            click.echo(f"{what} ...", err=True)

    found = find_rate(loaded, first=first, last=last, steps=steps, announce=announce)
    if svg is not None:
        draw(found, svg)
    click.echo(json.dumps(found.to_json()) if as_json else page(found))
