"""What a task learns, as arrays: which array a label's column becomes for each kind of task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.captions import FIRST_WORD, CaptionEncoder
from mmdist.data.label_weights import label_weights, wanted_weights
from mmdist.data.labels import LabelCounts, LabelEncoder, count_labels, distinct_labels, is_blank, shown_label
from mmdist.data.moments import Moments, number_values
from mmdist.data.tokenizer import learn_tokenizer
from mmdist.data.values import name_values
from mmdist.spec.task import (
    CaptioningSpec,
    ClassificationSpec,
    MultilabelSpec,
    OrdinalSpec,
    RegressionSpec,
    RetrievalSpec,
    TaskSpec,
)
from mmdist.spec.text import TextSpec, WordTokenizerSpec

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = ["LabelSetEncoder", "NumberEncoder", "Target", "TargetFacts", "learn_target", "make_target", "split_labels"]


class Target(Protocol):
    """Turns a label's column into what `Batch.label` holds."""

    @property
    def kind(self) -> Literal["label", "number", "text"]:
        """Whether the column holds names, numbers or sentences."""

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[Any], dict[int, str]]:
        """An array (n, ...) whose first axis is the rows, and by row the reasons of those without a usable label."""

    def hashes_of(self, encoded: npt.NDArray[Any]) -> npt.NDArray[np.uint64] | None:
        """uint64 (n,): the hashes of values that were encoded without a reason; None where only the values tell."""


@dataclass(frozen=True)
class LabelSetEncoder:
    """Marks the labels of a row: float32 (n, C), 1 for each that it has."""

    labels: tuple[str, ...]
    separator: str
    kind: Literal["label"] = "label"

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[Any], dict[int, str]]:
        """See `Target`. A null, or an unknown label, makes a bad row; an empty text is a row without labels."""
        values, reasons = name_values(column)
        numbers = {label: number for number, label in enumerate(self.labels)}
        marked = np.zeros((len(values), len(self.labels)), np.float32)
        for row, value in enumerate(values):
            if value is None:
                reasons.setdefault(row, "no labels (null)")
                continue
            for label in split_labels(value, self.separator):
                if label not in numbers:
                    reasons.setdefault(row, f"unknown label {shown_label(label)}")
                    break
                marked[row, numbers[label]] = 1.0
        return marked, reasons

    def hashes_of(self, encoded: npt.NDArray[Any]) -> None:
        """See `Target`: the same labels may be written in another order."""
        return


@dataclass(frozen=True)
class NumberEncoder:
    """Takes numbers as they are: float32 (n,)."""

    kind: Literal["number"] = "number"

    def encode(self, column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[Any], dict[int, str]]:
        """See `Target`. What is no finite number makes a bad row."""
        numbers, reasons = number_values(column)
        with np.errstate(over="ignore"):
            encoded = numbers.astype(np.float32)
        for row in np.flatnonzero(~np.isfinite(encoded)).tolist():
            encoded[row] = 0.0
            reasons.setdefault(row, "no number (null, blank, NaN or infinite)")
        return encoded, reasons

    def hashes_of(self, encoded: npt.NDArray[Any]) -> None:
        """See `Target`: one number may be written in several ways."""
        return


@dataclass(frozen=True)
class TargetFacts:
    """What is learned of a target from the training split, or given by the job."""

    labels: tuple[str, ...] = ()
    """In the order of the model's outputs; of captions the words; empty for numbers."""
    mean: float = 0.0
    deviation: float = 1.0
    """Of a number: the mean and the standard deviation."""
    label_weights: tuple[float, ...] = ()
    """By label, what its loss is multiplied by in training; empty for 1."""

    def to_json(self) -> dict[str, Any]:
        """For the run's folder `vocabulary`."""
        record = {"labels": list(self.labels), "mean": self.mean, "deviation": self.deviation}
        return record | ({"label_weights": list(self.label_weights)} if self.label_weights else {})

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TargetFacts":
        """Of `to_json`."""
        weights = tuple(float(weight) for weight in record.get("label_weights", ()))
        return cls(tuple(record["labels"]), float(record["mean"]), float(record["deviation"]), weights)


def make_target(task: TaskSpec, labels: Sequence[str]) -> Target | None:
    """The target of a task whose labels are known; None where it learns no column."""
    match task:
        case ClassificationSpec() | OrdinalSpec():
            return LabelEncoder(labels)
        case MultilabelSpec():
            return LabelSetEncoder(tuple(labels), task.separator)
        case RegressionSpec():
            return NumberEncoder()
        case CaptioningSpec():
            return CaptionEncoder(tuple(labels), task.tokens, task.lowercase)
        case RetrievalSpec():
            return None
        case _:
            assert_never(task)


def learn_target(
    task: TaskSpec, dataset: "Dataset", column: str | None, progress: Callable[[int], None] | None = None
) -> TargetFacts:
    """What a task must know of its target; reads the label's column alone, a row group at a time, where it must.

    Args:
        task: Chooses the kind of target.
        dataset: The training split.
        column: The label's column; None for a task that learns none.
        progress: Called with the number of rows read so far.

    Raises:
        DataRefusedError: where the column holds too few labels or words, or too many labels.
        JobFileError: where the job has a weight for what is no label.
    """
    if isinstance(task, RetrievalSpec) or column is None:
        return TargetFacts()
    if isinstance(task, RegressionSpec):
        moments, rows = Moments(), 0
        for group in range(len(dataset.index)):
            values = dataset.read_row_group(group, [column]).column(column)
            moments.add(number_values(values)[0])
            rows += len(values)
            if progress is not None:
                progress(rows)
        return TargetFacts(mean=moments.mean, deviation=moments.deviation)
    if isinstance(task, CaptioningSpec):
        kind = WordTokenizerSpec(lowercase=task.lowercase)
        text = TextSpec(tokens=task.tokens, vocabulary=task.vocabulary, tokenizer=kind)
        return TargetFacts(tuple(learn_tokenizer(dataset, column, text, progress).vocabulary[FIRST_WORD:]))
    counts = LabelCounts()
    if task.labels == "auto" or wanted_weights(task) == "balanced":
        split = _splitter(task) if isinstance(task, MultilabelSpec) else None
        counts = count_labels(dataset, column, progress, split=split)
    labels = task.labels
    if labels == "auto":
        labels = distinct_labels(counts, dataset, column, least=1 if isinstance(task, MultilabelSpec) else 2)
    return TargetFacts(labels, label_weights=label_weights(task, labels, counts))


def split_labels(value: str, separator: str) -> list[str]:
    """The labels that a text names, without the white space around them."""
    return [label for label in (part.strip() for part in value.split(separator)) if not is_blank(label)]


def _splitter(task: MultilabelSpec) -> Callable[[str], list[str]]:
    return lambda value: split_labels(value, task.separator)
