"""Evaluates a model over a dataset in bounded memory, and records what the report is made of."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from mmdist.data.batches import BadRow, Batch
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset
from mmdist.data.ledger import EpochLedger
from mmdist.data.stream import scan
from mmdist.errors import DataRefusedError, JobFileError, Place
from mmdist.evaluation.judges import Judge, make_judge
from mmdist.evaluation.judges.base import JudgedRows
from mmdist.evaluation.paths import EVALUATION, EVALUATION_VERSION, PREDICTIONS
from mmdist.evaluation.row_pictures import RowPictures
from mmdist.evaluation.row_texts import RowTexts
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import LabelTask, TaskSpec
from mmdist.storage import Store

__all__ = ["PredictFn", "dataset_facts", "evaluate_model"]

Arrays = Mapping[str, npt.NDArray[Any]]
PredictFn = Callable[[Arrays], dict[str, npt.NDArray[Any]]]
"""From a batch's `inputs()` to the task's answers by name, such as `probabilities` float32 (B, C)."""


def evaluate_model(
    predict_fn: PredictFn,
    dataset: Dataset,
    collator: Collator,
    *,
    task: TaskSpec,
    labels: Sequence[str],
    spec: EvaluationSpec,
    run: Store,
    split: str,
    seed: int,
    model: Mapping[str, Any],
    on_bad_rows: Callable[[Sequence[BadRow]], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Shows the model every row once, and again with each modality withheld where it reads several.

    Writes report/predictions.parquet and report/mistakes.parquet, and last report/evaluation.json; without the last
    there is no evaluation. Memory: a batch, a row group's texts, and what the task's judge keeps of a row.

    Args:
        predict_fn: The model.
        dataset: The rows, with labels.
        collator: Prepares them as in training.
        task: What is predicted.
        labels: In the order of the model's outputs; the words of captions; empty for a task without.
        spec: Batch size, intervals, mistakes.
        run: The run directory.
        split: What the rows are called in the report: `test`, `validation` or `input`.
        seed: Root of the resampling.
        model: Facts about the model for the report, such as `run_id`, `epoch` (from 0), `step`, `parameters`.
        on_bad_rows: Takes the rows of each batch that cannot be read; it may end the evaluation by raising.
        on_progress: Takes the rows done and the rows of the dataset after each batch; it may raise as well.

    Returns:
        The content of report/evaluation.json.

    Raises:
        JobFileError: where the job reads no label, and the task has one.
        DataRefusedError: where no row can be used, or the rows are not those that were imported.
        TrainingFailedError: where the model's output is not finite or has the wrong shape.
    """
    if task.has_label and (collator.target is None or collator.columns.label is None):
        raise JobFileError(
            "an evaluation compares with labels, and the job reads none",
            expected="the name of the label's column",
            received="nothing",
            place=Place(key="data.columns.label"),
        )
    judge = make_judge(task, labels, spec)
    run.delete_file(EVALUATION)
    pass_ = _Pass(predict_fn, judge, RowTexts(dataset, judge.text_column(collator.columns)))
    done = 0
    ledger = EpochLedger(0)
    with (
        run.open_output(PREDICTIONS) as stream,
        pq.ParquetWriter(stream, judge.schema, compression="zstd", write_page_checksum=True) as writer,
        scan(dataset, collator, spec.batch_size) as batches,
    ):
        for batch in batches:
            pass_.add(batch, writer)
            ledger.add(batch.ledger)
            if batch.bad and on_bad_rows is not None:
                on_bad_rows(batch.bad)
            done += batch.rows + len(batch.bad)
            if on_progress is not None:
                on_progress(done, dataset.rows)
        if pass_.rows and (rest := judge.rest()) is not None:
            writer.write_table(rest)
    ledger.check(dataset.index, where=dataset.store.url)
    if not pass_.rows:
        raise DataRefusedError(
            f"no row of the {split} data could be evaluated",
            expected="at least one row with a known label and a picture or text that can be read",
            received=f"{dataset.rows} rows, {sum(pass_.bad.values())} of them set aside",
            place=Place(file=dataset.store.url),
            remedy="look at the reasons in the run's quarantine folder",
        )
    judge.write_examples(run, RowPictures(dataset, collator))
    result = {
        "version": EVALUATION_VERSION,
        "split": split,
        "seed": seed,
        "confidence": spec.confidence,
        "bootstrap_samples": spec.bootstrap_samples,
        "model": dict(model),
        "dataset": dataset_facts(dataset),
        "rows": _row_facts(dataset, pass_),
        "labels": list(labels) if isinstance(task, LabelTask) else [],
        "metrics": judge.metrics(seed),
    }
    run.write_bytes(EVALUATION, json.dumps(result, indent=1).encode())
    return result


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """What a report says about a dataset: where it lies, its rows and fingerprint, and its card's terms of use."""
    card = dataset.card or {}
    return {
        "url": dataset.store.url,
        "rows": dataset.rows,
        "fingerprint": dataset.fingerprint,
        **{key: card.get(key) for key in ("name", "description", "licence", "attribution", "citation")},
    }


class _Pass:
    """One pass over the rows: what is judged, and what is counted."""

    def __init__(self, predict_fn: PredictFn, judge: Judge, texts: RowTexts) -> None:
        self._predict_fn = predict_fn
        self._judge = judge
        self._texts = texts
        self.rows = 0
        self.bad: Counter[tuple[str, str]] = Counter()
        self.present: Counter[str] = Counter()

    def add(self, batch: Batch, writer: pq.ParquetWriter) -> None:
        """Takes the rows of a batch that count."""
        self.bad.update((row.column, row.reason) for row in batch.bad)
        places = np.flatnonzero(batch.mask)
        if not len(places):
            return
        arrays = batch.inputs()
        modalities = [name for name in arrays if f"{name}_present" in arrays]
        rows = JudgedRows(batch, places, self._texts.of(batch.row[places]))
        table = self._judge.take(rows, self._answers(arrays, places))
        if table.num_rows:
            writer.write_table(table)
        self.rows += len(places)
        for name in modalities:
            self.present[name] += int(arrays[f"{name}_present"][places].sum())
            if len(modalities) > 1 and self._judge.withholds:
                self._judge.take_withheld(name, rows, self._answers(_without(arrays, name), places))

    def _answers(self, arrays: Arrays, places: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return {name: values[places] for name, values in self._predict_fn(arrays).items()}


def _without(arrays: Arrays, modality: str) -> dict[str, npt.NDArray[Any]]:
    """The same batch as if no row had the modality: its content is gone too, not only its mark."""
    blank = {name: np.zeros_like(arrays[name]) for name in (modality, f"{modality}_present")}
    return {**arrays, **blank}


def _row_facts(dataset: Dataset, pass_: _Pass) -> dict[str, Any]:
    reasons = [
        {"column": column, "reason": reason, "rows": rows}
        for (column, reason), rows in sorted(pass_.bad.items(), key=lambda item: (-item[1], item[0]))
    ]
    return {
        "expected": dataset.rows,
        "evaluated": pass_.rows,
        "quarantined": sum(pass_.bad.values()),
        "present": dict(sorted(pass_.present.items())),
        "reasons": reasons,
    }
