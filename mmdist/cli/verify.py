"""`mmdist verify`: proves on a job, shrunk, that replicas agree, a resume is exact, and every row is fed once."""

import json
import signal

import click

from mmdist.cli.options import Options, override_option, pass_options
from mmdist.errors import TrainingFailedError
from mmdist.spec.load import load_job

__all__ = ["command"]


@click.command("verify")
@click.argument("job_file", metavar="JOB.yaml", type=click.Path())
@override_option
@click.option("--keep", metavar="FOLDER", help="Keep the runs, recordings and logs in a new folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@pass_options
def command(options: Options, job_file: str, overrides: tuple[str, ...], keep: str | None, as_json: bool) -> int:
    """Prove that a train job's result can be trusted, on a few steps over its own data.

    1 replica against several; left alone against killed by SIGKILL and resumed; every row fed once. Exit code 0: all
    proven; 5: something is not, and the page says what.

    \b
    Examples:
      mmdist verify jobs/train.yaml
      mmdist verify jobs/train.yaml --set resources.replicas_per_worker=4 --json
    """
    # As Ctrl-C: the process at work is ended, and the temporary folder deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loaded = load_job(job_file, overrides)
    from mmdist.runtime.verifying import verify  # pyarrow comes with it: a job file that is wrong needs none

    def announce(what: str) -> None:
        if options.log_format != "json":
            click.echo(f"{what} ...", err=True)

    proof = verify(loaded, keep=keep, announce=announce)
    click.echo(json.dumps(proof.to_json(), ensure_ascii=False) if as_json else proof.page())
    return 0 if proof.passed else TrainingFailedError.exit_code
