"""What can be known of a job before a cluster starts: its data, its model, its storage.

Every error names the line of the job file to change. Nothing is written.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmdist.data.label_weights import wanted_weights
from mmdist.errors import DataRefusedError, JobFileError
from mmdist.importing import check_import
from mmdist.models import read_task
from mmdist.runtime.find import MODEL, find_model
from mmdist.runtime.job_lines import at_key
from mmdist.runtime.preflight_data import open_input, sample_images, sample_labels
from mmdist.runtime.preflight_folders import check_writable, similar_path
from mmdist.runtime.preflight_weights import check_pretrained
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.importing import FolderSourceSpec, ImportSpec, TableSourceSpec
from mmdist.spec.job import EvaluateJob, ImportJob, PredictJob, TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.resolve import known_replicas, resolved_lanes
from mmdist.spec.task import LabelTask
from mmdist.storage import is_remote, open_store
from mmdist.storage.commit import COMMITTED

__all__ = ["Preflight", "preflight"]


@dataclass
class Preflight:
    """The facts of a job that passed."""

    kind: str
    name: str
    modalities: list[str] = field(default_factory=list)
    """`image`, `text` or both."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows by split; empty where the data is imported first."""
    labels: list[str] = field(default_factory=list)
    """Labels of the job, or those that a sample of the training rows has."""
    epochs: int | None = None
    global_batch_size: int | None = None
    batches_per_epoch: int | None = None
    workers: int = 1
    replicas: int | None = None
    """Over all workers; None where the machines decide."""
    lanes: int | None = None
    model_run: str | None = None
    """The run whose model is used."""
    writes: list[str] = field(default_factory=list)
    """Folders that the job writes to."""
    notes: list[str] = field(default_factory=list)
    """What was left unchecked, or looks odd, without being wrong."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def preflight(loaded: LoadedJob) -> Preflight:
    """Checks a job's data, model and storage.

    Raises:
        DataRefusedError: where data is missing, empty or unusable.
        JobFileError: where a column is not in the data.
        UsageError: where an evaluate or predict job's model is not there.
        StorageError: where a folder cannot be written, or its disk is full.
        ResourceError: where pretrained weights cannot be fetched.
    """
    job = loaded.spec
    facts = Preflight(job.kind, job.name, workers=job.resources.workers, replicas=known_replicas(job.resources))
    check_writable(loaded, job.storage, "storage")
    facts.writes.append(job.storage)
    match job:
        case ImportJob():
            _import(loaded, job.import_, facts)
        case TrainJob():
            _train(loaded, job, facts)
        case EvaluateJob() | PredictJob():
            _inference(loaded, job, facts)
    return facts


def _import(loaded: LoadedJob, spec: ImportSpec, facts: Preflight) -> None:
    source = spec.source
    if isinstance(source, FolderSourceSpec | TableSourceSpec) and not is_remote(source.path):
        path = Path(source.path)
        found = path.is_dir() if isinstance(source, FolderSourceSpec) else path.is_file()
        if not found:
            raise DataRefusedError(
                f"the source's {'folder' if isinstance(source, FolderSourceSpec) else 'table'} is not there",
                received=source.path,
                place=loaded.value_place("import", "source", "path"),
                remedy=similar_path(path),
            )
    with at_key(loaded, "import", "source"):
        check_import(spec)
    check_writable(loaded, spec.output, "import", "output")
    facts.writes.append(spec.output)


def _train(loaded: LoadedJob, job: TrainJob, facts: Preflight) -> None:
    columns, batch = job.data.columns, job.train.global_batch_size
    facts.modalities = _modalities(columns)
    facts.epochs, facts.global_batch_size = job.train.epochs, batch
    facts.lanes = resolved_lanes(job.data, job.train)
    if isinstance(job.task, LabelTask) and isinstance(job.task.labels, tuple):
        facts.labels = list(job.task.labels)
    check_pretrained(loaded, job)
    if job.import_ is not None:
        _import(loaded, job.import_, facts)
        if not open_store(job.import_.output).exists(COMMITTED):
            facts.notes.append(f"the data is checked after importing: {job.import_.output} is not there yet")
            return
    folders = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
    for key, folder in folders.items():
        if folder is None:
            continue
        dataset = open_input(loaded, folder, columns, key)
        facts.rows[key] = dataset.rows
        if columns.image is not None:
            facts.notes += sample_images(loaded, dataset, columns.image, key)
        if columns.label is not None:
            facts.labels, notes = sample_labels(loaded, job.task, dataset, columns.label, key, facts.labels)
            facts.notes += notes
    weighted = wanted_weights(job.task)
    unseen = [label for label in weighted if label not in facts.labels] if isinstance(weighted, dict) else []
    if unseen:
        facts.notes.append(f"weights are given for labels that no sampled row has: {', '.join(unseen)}")
    facts.batches_per_epoch = math.ceil(facts.rows["train"] / batch)
    if facts.rows["train"] < batch:
        facts.notes.append(f"the {facts.rows['train']} training rows fill no batch of {batch}: every step is short")


def _inference(loaded: LoadedJob, job: EvaluateJob | PredictJob, facts: Preflight) -> None:
    columns = job.data.columns
    facts.modalities = _modalities(columns)
    with at_key(loaded, "model"):
        model_run = find_model(job.model, job.storage)
        facts.model_run = model_run.url
        needs_label = isinstance(job, EvaluateJob) and read_task(model_run, MODEL).has_label
    if not needs_label:
        columns = columns.model_copy(update={"label": None})
    elif columns.label is None:
        raise JobFileError(
            "`data.columns` names no label, and the model is judged by labels",
            expected="`label`: the column with the label",
            received="no `label`",
            place=loaded.value_place("data", "columns"),
            remedy="add `label: COLUMN` to `data.columns`",
        )
    if isinstance(job, PredictJob) and job.output is not None:
        check_writable(loaded, job.output, "output")
        facts.writes.append(job.output)
    dataset = open_input(loaded, job.data.input, columns, "input")
    facts.rows["input"] = dataset.rows
    if columns.image is not None:
        facts.notes += sample_images(loaded, dataset, columns.image, "input")


def _modalities(columns: ColumnsSpec) -> list[str]:
    return list(columns.modalities)
