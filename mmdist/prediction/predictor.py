"""The worker of a prediction: holds the model, and turns one range of row groups after another into shards."""

import os
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.batches import Batch
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.ledger import EpochLedger, check_fingerprint
from mmdist.data.stream import scan
from mmdist.data.tabular import TabularEncoder
from mmdist.data.tokenizer import read_tokenizer
from mmdist.errors import MmdistError, StopRequestedError
from mmdist.models import Artifact, ArtifactInfo, load_artifact
from mmdist.models.facts import absent_inputs
from mmdist.prediction.answers import AnswerColumns, answer_columns, predictions_schema
from mmdist.prediction.output import PredictionFolder, ShardRecord
from mmdist.prediction.ranges import PredictionRange
from mmdist.spec.data import CacheSpec, ColumnsSpec, ImageSpec
from mmdist.storage import Attend, Store, open_store, stop_requested, unattended

__all__ = ["Predictor", "PredictorSetup", "StopRequest", "predict_range", "read_reply"]

_STOP_CHECK_S = 1.0


@dataclass(frozen=True)
class PredictorSetup:
    """All that a worker needs; it crosses to other machines, so locations are URLs."""

    run_url: str
    model_url: str
    input_url: str
    cache: CacheSpec | None
    output_url: str
    fingerprint: str
    """The dataset's, as the driver found it."""
    columns: ColumnsSpec
    """Columns that are read: those of the model's modalities that the job names."""
    batch_size: int
    threads: int
    gpus: int
    attend: Attend = unattended


class Predictor:
    """An actor of the pool. The model is loaded once; each call predicts the ranges that it is given.

    A call never raises an error of ours: `read_reply` raises it in the driver, whole, instead of as Ray's text.
    """

    def __init__(self, setup: PredictorSetup) -> None:
        self.setup = setup
        self._ready: tuple[Dataset, Artifact, Any] | None = None

    def __call__(self, ranges: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Ranges by column (`number`, `first_group`, ...), to a column of replies."""
        columns = [ranges[name].tolist() for name in PredictionRange.__dataclass_fields__]
        replies = [self._reply(PredictionRange(*values)) for values in zip(*columns, strict=True)]
        return {"reply": np.array(replies, dtype=object)}

    def _reply(self, range_: PredictionRange) -> bytes:
        try:
            with self.setup.attend() as moved:
                return pickle.dumps(self._predicted(range_, moved))
        except MmdistError as error:
            return pickle.dumps(error)

    def _predicted(self, range_: PredictionRange, moved: Callable[[], None]) -> ShardRecord:
        self._ready = self._ready or self._load()
        dataset, artifact, forward = self._ready
        return predict_range(
            range_,
            dataset=dataset,
            collator=_collator(self.setup, artifact),
            info=artifact.info,
            forward=forward,
            output=PredictionFolder(open_store(self.setup.output_url)),
            batch_size=self.setup.batch_size,
            stop=StopRequest(open_store(self.setup.run_url)),
            moved=moved,
        )

    def _load(self) -> tuple[Dataset, Artifact, Any]:
        dataset = open_dataset(self.setup.input_url, self.setup.cache)
        check_fingerprint(dataset.store.url, expected=self.setup.fingerprint, received=dataset.fingerprint)
        artifact = load_artifact(open_store(self.setup.model_url), "")
        _set_devices(self.setup)
        from mmdist.models.build import make_predict_fn

        return dataset, artifact, make_predict_fn(artifact.build(), artifact.build_task())


def read_reply(reply: bytes) -> ShardRecord:
    """The record in a worker's reply. Raises the MmdistError that the worker met, where it did."""
    content = pickle.loads(reply)
    if isinstance(content, MmdistError):
        raise content
    record: ShardRecord = content
    return record


def predict_range(
    range_: PredictionRange,
    *,
    dataset: Dataset,
    collator: Collator,
    info: ArtifactInfo,
    forward: Any,
    output: PredictionFolder,
    batch_size: int,
    stop: "StopRequest",
    moved: Callable[[], None] = lambda: None,
) -> ShardRecord:
    """Predicts a range's rows, in their order, and commits its shard.

    Args:
        range_: The row groups.
        dataset: Where they are read from.
        collator: Reads them into batches; one without labels.
        info: The model's facts.
        forward: From the model's inputs to its answers by name, (B, ...).
        output: Where the shard goes.
        batch_size: B.
        stop: Asked between batches.
        moved: Called after each batch.

    Raises:
        DataRefusedError: when a row group is damaged. A row that cannot be read is in the shard, with its reason.
        StopRequestedError: when the user asked to stop; the range is predicted anew when the job goes on.
    """
    ledger = EpochLedger(0)
    parts: list[pa.RecordBatch] = []
    bad = []
    columns = answer_columns(info.task, info.labels)
    schema = predictions_schema(columns, info.answer_labels)
    groups = range(range_.first_group, range_.stop_group)
    with scan(dataset, collator, batch_size, groups=groups) as batches:
        for batch in batches:
            parts.append(_rows(batch, forward(_inputs(batch, info)), columns, schema))
            ledger.add(batch.ledger)
            bad.extend(batch.bad)
            moved()
            stop.check()
    return output.write(range_, pa.Table.from_batches(parts, schema), bad=bad, ledger=ledger.state())


def _inputs(batch: Batch, info: ArtifactInfo) -> dict[str, npt.NDArray[Any]]:
    """The model's inputs; a modality that the job does not read is absent in every row."""
    return {**absent_inputs(info.facts, batch.size), **batch.inputs()}


def _rows(batch: Batch, answers: Mapping[str, Any], columns: AnswerColumns, schema: pa.Schema) -> pa.RecordBatch:
    held = np.flatnonzero(batch.row >= 0)
    failed = batch.mask[held] == 0
    reasons = iter(batch.bad)
    arrays = [
        pa.array([batch.ids[place] for place in held.tolist()], pa.string()),
        *columns.fill({name: np.asarray(values)[held] for name, values in answers.items()}, failed),
        pa.array([_reason(next(reasons)) if is_bad else None for is_bad in failed.tolist()], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _reason(row: Any) -> str:
    return f"{row.column}: {row.reason}" if row.column else str(row.reason)


def _collator(setup: PredictorSetup, artifact: Artifact) -> Collator:
    image = artifact.info.image or ImageSpec()
    return Collator(
        columns=setup.columns,
        image_size=image.size,
        max_pixels=image.max_pixels,
        tokenizer=read_tokenizer(artifact.tokenizer) if artifact.tokenizer is not None else None,
        tabular=TabularEncoder.from_json(artifact.info.tabular) if artifact.info.tabular is not None else None,
        audio=artifact.info.audio,
        threads=setup.threads,
    )


def _set_devices(setup: PredictorSetup) -> None:
    """Before TensorFlow's first operation: this worker's share of the machine, and no more."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(setup.threads)
    tf.config.threading.set_inter_op_parallelism_threads(setup.threads)
    if not setup.gpus:
        tf.config.set_visible_devices([], "GPU")
    for device in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)


class StopRequest:
    """Looks whether the user asked to stop the run."""

    def __init__(self, run: Store) -> None:
        self._run = run
        self._next_s = 0.0

    def check(self) -> None:
        """Raises StopRequestedError where the user asked for it; looks at most once a second."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _STOP_CHECK_S
        if stop_requested(self._run):
            raise StopRequestedError("stopped on request; the shards that are written stay, and are not made again")
