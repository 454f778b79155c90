"""Shrinks a train job to a few steps on some rows of its own data: a small dataset beside a job that reads it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.content import content_sums, row_hashes, sum_hashes
from mmdist.data.dataset import WRITER_FILE, Dataset, open_dataset
from mmdist.data.index import RowGroupFacts, RowGroupIndex, write_index
from mmdist.data.labels import is_blank, learn_labels
from mmdist.data.roles import check_columns
from mmdist.data.schema_guard import open_parquet
from mmdist.data.targets import learn_target
from mmdist.data.values import name_values
from mmdist.errors import DataRefusedError, Place
from mmdist.spec.data import ColumnsSpec, LanesOrderSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.task import ClassificationSpec, LabelTask, MultilabelSpec, RegressionSpec
from mmdist.spec.train import CheckpointSpec
from mmdist.storage import open_store

__all__ = ["BATCHES", "CHECKPOINT_EVERY", "EPOCHS", "Sample", "shrink"]

EPOCHS = 2
BATCHES = 6
"""Of an epoch; the last one is short."""
CHECKPOINT_EVERY = 3
MOST_BATCH = 64
"""Rows per batch, where lanes and replicas allow so few."""
VALIDATION_ROWS = 48
MOST_GROUPS = 16
MOST_BYTES = 256 * 2**20
"""Of row groups that are read whole for a few of their rows; the first is read whatever it has."""


@dataclass(frozen=True)
class Sample:
    """A job like the user's, on some of its rows."""

    job: TrainJob
    rows: int
    """Training rows."""
    of_rows: int
    """Training rows of the user's dataset."""
    groups_checked: int
    """Row groups of the user's dataset whose content sums were compared with those that importing wrote."""
    changes: tuple[str, ...]
    """What is not as in the job."""


def shrink(job: TrainJob, folder: Path, *, replicas: int) -> Sample:
    """Writes a small dataset into a folder, and makes the job that trains on it.

    Rows are taken from up to 16 row groups all over the split, for data is often sorted by label.

    Args:
        job: The user's.
        folder: An empty folder for data and runs.
        replicas: What the batch must divide by.

    Raises:
        DataRefusedError: where the data cannot be read, is not what was imported, or has too few rows.
    """
    train, validation = (open_dataset(url, job.data.cache) for url in (job.data.train, job.data.validation))
    for dataset in (train, validation):
        check_columns(dataset, job.data.columns, number_label=isinstance(job.task, RegressionSpec))
    lanes, batch = _batch(job, train, replicas * job.train.accumulate)
    wanted = min(batch * (BATCHES - 1) + max(batch // 2, 1), train.rows)
    table, checked = _take(train, job.data.columns, wanted)
    small, checked_too = _take(validation, job.data.columns, min(VALIDATION_ROWS, validation.rows))
    data = folder / "data"
    order = job.data.order
    if isinstance(order, LanesOrderSpec):
        order = order.model_copy(update={"lanes": lanes})
    task = job.task
    if isinstance(task, LabelTask) and task.labels == "auto":
        task = task.model_copy(update={"labels": _labels(job, train, (table, small))})
    if isinstance(task, ClassificationSpec) and isinstance(task.class_weights, dict):
        known = {label: weight for label, weight in task.class_weights.items() if label in task.labels}
        task = task.model_copy(update={"class_weights": known})
    shrunk = job.model_copy(
        update={
            "import_": None,
            "storage": str(folder / "runs"),
            "task": task,
            "data": job.data.model_copy(
                update={
                    "train": _write(table, data / "train", has_sums=train.index.has_sums),
                    "validation": _write(small, data / "validation", has_sums=validation.index.has_sums),
                    "test": None,
                    "cache": None,
                    "order": order,
                    "on_bad_row": "quarantine",
                    "max_bad_rows": table.num_rows // 2,
                }
            ),
            "train": job.train.model_copy(
                update={
                    "epochs": EPOCHS,
                    "global_batch_size": batch,
                    "deterministic": True,
                    "xla": False,
                    "tensorboard": False,
                    "checkpoint": CheckpointSpec.model_validate(
                        {**job.train.checkpoint.model_dump(), "every": CHECKPOINT_EVERY}
                    ),
                }
            ),
        }
    )
    return Sample(shrunk, table.num_rows, train.rows, checked + checked_too, _changes(job, shrunk, table.num_rows))


def _batch(job: TrainJob, train: Dataset, parts: int) -> tuple[int, int]:
    """Lanes and rows of a batch that divides by its parts, so small that the rows fill an epoch of several."""
    most = max(train.rows // (BATCHES - 1), 1)
    named = job.data.order.lanes if isinstance(job.data.order, LanesOrderSpec) else None
    divisors = [count for count in range(named or 1, 0, -1) if (named or 1) % count == 0]
    fitting = [count for count in divisors if math.lcm(count, parts) <= most]
    if not fitting:
        raise DataRefusedError(
            "there are too few training rows to prove anything on",
            expected=f"at least {(BATCHES - 1) * parts} rows",
            received=str(train.rows),
            place=Place(file=train.store.url),
        )
    unit = math.lcm(fitting[0], parts)
    limit = min(job.train.global_batch_size, MOST_BATCH, most)
    return fitting[0], max(limit // unit, 1) * unit


def _take(dataset: Dataset, columns: ColumnsSpec, wanted: int) -> tuple[pa.Table, int]:
    """Rows from row groups spread over the dataset, and how many of these were found as they were imported."""
    index = dataset.index
    filled = np.flatnonzero(index.rows > 0)
    picks = np.unique(np.linspace(0, len(filled) - 1, min(len(filled), MOST_GROUPS)).round().astype(np.int64))
    spread = [int(filled[pick]) for pick in picks]
    within = np.cumsum(index.bytes[spread]) <= MOST_BYTES
    chosen = [group for group, fits in zip(spread, within, strict=True) if fits] or spread[:1]
    others = [int(group) for group in filled if int(group) not in set(chosen)]
    share = -(-wanted // len(chosen))
    parts: list[pa.Table] = []
    rest: list[pa.Table] = []
    checked = rows = 0
    for group in chosen:
        table = dataset.read_row_group(group, dataset.columns_to_read(columns))
        checked += _check_import(dataset, columns, group, table)
        parts.append(table.slice(0, share))
        rest.append(table.slice(share))
    rows = sum(part.num_rows for part in parts)
    while rows < wanted and (rest or others):
        # Small row groups have less than their share: more of the same ones first, then further ones.
        more = rest.pop(0) if rest else dataset.read_row_group(others.pop(0), dataset.columns_to_read(columns))
        parts.append(more.slice(0, wanted - rows))
        rows += parts[-1].num_rows
    return pa.concat_tables(parts).slice(0, wanted).combine_chunks(), checked


def _check_import(dataset: Dataset, columns: ColumnsSpec, group: int, table: pa.Table) -> int:
    if not dataset.index.has_sums:
        return 0
    positions = np.arange(table.num_rows, dtype=np.int64)
    for name, values in row_hashes(table, dataset.hashed_columns(columns), positions=positions).items():
        expected = int(dataset.index.content_sums[name][group])
        if sum_hashes(values) != expected:
            raise DataRefusedError(
                f"the content of column {name} is not what was imported",
                expected=f"sum {expected:016x}",
                received=f"sum {sum_hashes(values):016x} in row group {int(dataset.index.row_group[group])}",
                place=Place(file=f"{dataset.store.url}/{dataset.index.shard_name(group)}"),
                remedy="bring the shard back from a copy, or run the import again",
            )
    return 1


def _labels(job: TrainJob, train: Dataset, tables: Sequence[pa.Table]) -> tuple[str, ...]:
    """The labels of the whole dataset where its card tells them, else those of the rows taken."""
    column = str(job.data.columns.label)
    if isinstance(job.task, MultilabelSpec):
        return learn_target(job.task, train, column).labels
    if column == "label" and train.card is not None and train.card.get("labels"):
        return tuple(train.card["labels"])
    found = {value for table in tables for value in name_values(table.column(column))[0] if not is_blank(value)}
    labels = tuple(sorted(value for value in found if value is not None))
    return labels if len(labels) > 1 else learn_labels(train, column)


def _write(table: pa.Table, folder: Path, *, has_sums: bool) -> str:
    """Two shards with eight row groups each, so that order and reading have something to do."""
    folder.mkdir(parents=True)
    half = -(-table.num_rows // 2)
    facts = []
    for number, part in enumerate((table.slice(0, half), table.slice(half))):
        name = f"part-{number:05d}.parquet"
        pq.write_table(part, folder / name, row_group_size=max(1, -(-half // 8)), write_page_checksum=True)
        with open_parquet(open_store(str(folder)), name) as file:
            for group in range(file.num_row_groups):
                stored = file.read_row_group(group)
                sums = content_sums(stored) if has_sums else {}
                facts.append(RowGroupFacts(name, group, stored.num_rows, stored.nbytes, sums))
    if has_sums:
        (folder / WRITER_FILE).write_text('{"version": 1}')
        write_index(open_store(str(folder)), RowGroupIndex.of(facts), table.schema.remove_metadata())
    return str(folder)


def _changes(job: TrainJob, shrunk: TrainJob, rows: int) -> tuple[str, ...]:
    was, now = job.train, shrunk.train
    changes = [f"{EPOCHS} epochs of {-(-rows // now.global_batch_size)} batches, of {was.epochs} epochs"]
    if was.global_batch_size != now.global_batch_size:
        changes.append(f"batches of {now.global_batch_size} rows in place of {was.global_batch_size}")
    if job.data.order != shrunk.data.order and isinstance(shrunk.data.order, LanesOrderSpec):
        changes.append(f"{shrunk.data.order.lanes} lanes: there are few rows")
    changes.append(f"a checkpoint every {CHECKPOINT_EVERY} steps")
    if was.xla is True:
        changes.append("without XLA, which compiles the step of one replica alone")
    if was.deterministic is False:
        changes.append("deterministic operations, which the job itself does without: its own runs do not repeat")
    return tuple(changes)
