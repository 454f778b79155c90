"""What can be known of a job before a cluster starts: its data, its model, its storage.

Every error names the line of the job file to change. Nothing is written.
"""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmdist.data.dataset import Dataset, check_columns, open_dataset
from mmdist.data.image_header import BadImage, read_header
from mmdist.data.labels import LabelEncoder
from mmdist.data.values import name_values
from mmdist.errors import DataRefusedError, MmdistError, StorageError
from mmdist.runtime.find import find_model
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.importing import FolderSourceSpec, ImportSpec, TableSourceSpec
from mmdist.spec.job import EvaluateJob, ImportJob, PredictJob, TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.resolve import known_replicas, resolved_lanes
from mmdist.spec.suggest import nearest
from mmdist.storage import is_remote, open_store
from mmdist.storage.commit import COMMITTED

__all__ = ["Preflight", "preflight"]

MIN_FREE_BYTES = 256 << 20
SAMPLE_ROWS = 256
SAMPLE_ROW_GROUPS = 8


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
    """
    job = loaded.spec
    facts = Preflight(job.kind, job.name, workers=job.resources.workers, replicas=known_replicas(job.resources))
    _check_writable(loaded, job.storage, "storage")
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
                remedy=_similar_path(path),
            )
    _check_writable(loaded, spec.output, "import", "output")
    facts.writes.append(spec.output)


def _train(loaded: LoadedJob, job: TrainJob, facts: Preflight) -> None:
    columns, batch = job.data.columns, job.train.global_batch_size
    facts.modalities = _modalities(columns)
    facts.epochs, facts.global_batch_size = job.train.epochs, batch
    facts.lanes = resolved_lanes(job.data, job.train)
    if isinstance(job.task.labels, tuple):
        facts.labels = list(job.task.labels)
    if job.import_ is not None:
        _import(loaded, job.import_, facts)
        if not open_store(job.import_.output).exists(COMMITTED):
            facts.notes.append(f"the data is checked after importing: {job.import_.output} is not there yet")
            return
    folders = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
    for key, folder in folders.items():
        if folder is None:
            continue
        dataset = _open(loaded, folder, columns, key)
        facts.rows[key] = dataset.rows
        if columns.image is not None:
            _sample_images(loaded, dataset, columns.image, key, facts)
        if columns.label is not None:
            _sample_labels(loaded, dataset, columns.label, key, facts)
    facts.batches_per_epoch = math.ceil(facts.rows["train"] / batch)
    if facts.rows["train"] < batch:
        facts.notes.append(f"the {facts.rows['train']} training rows fill no batch of {batch}: every step is short")


def _inference(loaded: LoadedJob, job: EvaluateJob | PredictJob, facts: Preflight) -> None:
    columns = job.data.columns
    facts.modalities = _modalities(columns)
    with _placed(loaded, "model"):
        facts.model_run = find_model(job.model, job.storage).url
    if isinstance(job, PredictJob):
        columns = columns.model_copy(update={"label": None})
        if job.output is not None:
            _check_writable(loaded, job.output, "output")
            facts.writes.append(job.output)
    dataset = _open(loaded, job.data.input, columns, "input")
    facts.rows["input"] = dataset.rows
    if columns.image is not None:
        _sample_images(loaded, dataset, columns.image, "input", facts)


def _modalities(columns: ColumnsSpec) -> list[str]:
    return [name for name in ("image", "text") if getattr(columns, name) is not None]


def _open(loaded: LoadedJob, folder: str, columns: ColumnsSpec, key: str) -> Dataset:
    if not is_remote(folder) and not Path(folder).exists():
        raise DataRefusedError(
            f"the folder of `data.{key}` is not there",
            expected="a folder of Parquet shards",
            received=folder,
            place=loaded.value_place("data", key),
            remedy=_similar_path(Path(folder)) or "check the path, or import the dataset first (`kind: import`)",
        )
    with _placed(loaded, "data", key):
        dataset = open_dataset(folder)
    with _placed(loaded, "data", "columns"):
        check_columns(dataset, columns)
    return dataset


@contextmanager
def _placed(loaded: LoadedJob, *path: str) -> Iterator[None]:
    """Moves an error to the line of the key that it is about; the place it had becomes part of what was received."""
    try:
        yield
    except MmdistError as error:
        at = error.place
        if at is not None and at.key is not None:
            path = tuple(at.key.split("."))
        was = at.file if at is not None else None
        received = error.received
        if was is not None:
            received = f"{received} ({was})" if received is not None else was
        raise type(error)(
            error.message,
            expected=error.expected,
            received=received,
            place=loaded.value_place(*path),
            remedy=error.remedy,
        ) from error


def _sample_images(loaded: LoadedJob, dataset: Dataset, column: str, key: str, facts: Preflight) -> None:
    """Reads the headers of the first row group's first pictures."""
    with _placed(loaded, "data", key):
        values = dataset.read_row_group(0, [column]).column(column).slice(0, SAMPLE_ROWS)
    reasons, pictures = [], 0
    for value in values:
        data = value.as_py()
        if data is None:
            continue
        pictures += 1
        try:
            read_header(data)
        except BadImage as error:
            reasons.append(str(error))
    if reasons and len(reasons) == pictures:
        raise DataRefusedError(
            f"none of the first {pictures} pictures of `data.{key}` can be read",
            expected="JPEG, PNG, GIF, BMP or WebP",
            received=reasons[0],
            place=loaded.value_place("data", "columns", "image"),
            remedy="name the column with encoded pictures",
        )
    if reasons:
        facts.notes.append(
            f"{len(reasons)} of the first {pictures} pictures of data.{key} cannot be read: {reasons[0]}"
        )


def _sample_labels(loaded: LoadedJob, dataset: Dataset, column: str, key: str, facts: Preflight) -> None:
    """Compares the labels of the first row groups with those of the job, or takes the training split's for them."""
    groups = min(SAMPLE_ROW_GROUPS, len(dataset.index))
    whole = groups == len(dataset.index)
    rows, unknown = 0, []
    for group in range(groups):
        with _placed(loaded, "data", key):
            values = dataset.read_row_group(group, [column]).column(column)
        rows += len(values)
        if key == "train" and _labels_are_learned(loaded):
            found, _ = name_values(values)
            facts.labels = sorted({*facts.labels, *(label for label in found if label is not None)})
        else:
            unknown += list(LabelEncoder(facts.labels).encode(values)[1].values())
    if key == "train" and whole and len(facts.labels) < 2:
        raise DataRefusedError(
            f"column `{column}` holds too few labels to tell apart",
            expected="at least 2 different labels",
            received=f"{len(facts.labels)} in {rows} rows: {', '.join(facts.labels) or 'none'}",
            place=loaded.value_place("data", "columns", "label"),
            remedy="name the column with the class of each row",
        )
    if unknown and len(unknown) == rows and (whole or not _labels_are_learned(loaded)):
        raise DataRefusedError(
            f"no label of the first {rows} rows of `data.{key}` is one of the job's",
            expected=", ".join(facts.labels[:8]) + ("..." if len(facts.labels) > 8 else ""),
            received=unknown[0],
            place=loaded.value_place("data", "columns", "label"),
            remedy="check `task.labels` and `data.columns.label`",
        )
    if unknown and not _labels_are_learned(loaded):
        facts.notes.append(f"{len(unknown)} of the first {rows} labels of data.{key}: {unknown[0]}")


def _labels_are_learned(loaded: LoadedJob) -> bool:
    return isinstance(loaded.spec, TrainJob) and loaded.spec.task.labels == "auto"


def _check_writable(loaded: LoadedJob, location: str, *path: str) -> None:
    place = loaded.value_place(*path)
    key = ".".join(path)
    if is_remote(location):
        with _placed(loaded, *path):
            open_store(location).exists()
        return
    folder = Path(location.removeprefix("file://"))
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise StorageError(
            f"`{key}` lies below a file",
            expected="a folder, or a path where one can be made",
            received=str(folder),
            place=place,
            remedy="name another folder",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"`{key}` cannot be written",
            expected=f"the right to write in {folder}",
            received="no such right",
            place=place,
            remedy="name another folder, or change the rights of this one",
        )
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise StorageError(
            f"the disk of `{key}` is full",
            expected=f"{MIN_FREE_BYTES >> 20} MiB free at least",
            received=f"{free >> 20} MiB free in {folder}",
            place=place,
            remedy="free space, or name a folder on another disk",
        )


def _similar_path(path: Path) -> str | None:
    """A hint at a path that is there: the first missing part of `path`, replaced by its nearest neighbour."""
    missing = path
    while not missing.parent.exists() and missing.parent != missing:
        missing = missing.parent
    try:
        near = nearest(missing.name, os.listdir(missing.parent))
    except OSError:
        return None
    return f"did you mean {missing.parent / near}?" if near is not None else None
