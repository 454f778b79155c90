"""`mmdist schema`: the JSON Schema of the job file, or its reference page."""

import json

import click

__all__ = ["command"]


@click.command()
@click.option("--markdown", is_flag=True, help="Print the reference page docs/reference/job-file.md instead.")
def command(markdown: bool) -> None:
    """Print the JSON Schema of the job file, for editors.

    Write it to a file and name it in a job file's first line:
    `# yaml-language-server: $schema=mmdist.schema.json`.
    """
    if markdown:
        from mmdist.spec.reference import job_reference

        click.echo(job_reference(), nl=False)
    else:
        from mmdist.spec.schema import job_schema

        click.echo(json.dumps(job_schema(), indent=2, ensure_ascii=False))
