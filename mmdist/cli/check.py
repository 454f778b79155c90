"""`mmdist check`: every check of a job that needs no cluster and no training."""

import json
from typing import TYPE_CHECKING

import click

from mmdist.cli.options import override_option
from mmdist.spec.load import load_job

if TYPE_CHECKING:
    from mmdist.runtime.preflight import Preflight

__all__ = ["command"]

_SHOWN_LABELS = 6


@click.command()
@click.argument("job_file", metavar="JOB.yaml", type=click.Path())
@override_option
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def command(job_file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check a job file, its data and its storage; start nothing and write nothing.

    \b
    Example:
      mmdist check jobs/train.yaml --set train.global_batch_size=100
    """
    loaded = load_job(job_file, overrides)
    from mmdist.runtime.preflight import preflight  # pyarrow comes with it: a job file that is wrong needs none

    facts = preflight(loaded)
    if as_json:
        click.echo(json.dumps({"ok": True, **facts.to_json()}, ensure_ascii=False))
        return
    click.echo(f"{job_file}: the {facts.kind} job {facts.name} is in order")
    for name, text in _lines(facts):
        click.echo(f"  {name:<11} {text}")


def _lines(facts: "Preflight") -> list[tuple[str, str]]:
    lines = []
    if facts.modalities:
        lines.append(("reads", " and ".join(facts.modalities)))
    if facts.model_run is not None:
        lines.append(("model", facts.model_run))
    if facts.rows:
        lines.append(("rows", ", ".join(f"{count:,} {split}" for split, count in facts.rows.items())))
    if facts.labels:
        shown = ", ".join(facts.labels[:_SHOWN_LABELS]) + ("..." if len(facts.labels) > _SHOWN_LABELS else "")
        lines.append(("labels", f"{len(facts.labels)}: {shown}"))
    if facts.global_batch_size is not None:
        per_epoch = f", {facts.batches_per_epoch:,} per epoch" if facts.batches_per_epoch is not None else ""
        lines.append(("batches", f"{facts.global_batch_size} rows{per_epoch}, {facts.epochs} epochs"))
    if facts.lanes is not None:
        lines.append(("lanes", str(facts.lanes)))
    if facts.kind != "import":
        replicas = facts.replicas if facts.replicas is not None else "one per GPU, or one where there is none,"
        lines.append(("replicas", f"{replicas} on {facts.workers} worker{'s' if facts.workers > 1 else ''}"))
    lines.append(("writes", ", ".join(facts.writes)))
    lines += [("note", note) for note in facts.notes]
    return lines
