"""Answers of a model as columns of predictions, by task."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.captions import CaptionEncoder, join_words
from mmdist.spec.task import (
    CaptioningSpec,
    ClassificationSpec,
    MultilabelSpec,
    OrdinalSpec,
    RegressionSpec,
    RetrievalSpec,
    TaskSpec,
)

__all__ = ["AnswerColumns", "answer_columns", "numbers_per_row", "predictions_schema"]

Arrays = Mapping[str, npt.NDArray[Any]]
Failed = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AnswerColumns:
    """The columns of a task's answers between a row's id and its error."""

    fields: tuple["pa.Field[Any]", ...]
    fill: Callable[[Arrays, Failed], list["pa.Array[Any]"]]
    """From the answers to N rows, (N, ...) by name, and which of them could not be read: a column per field."""


def answer_columns(task: TaskSpec, labels: Sequence[str]) -> AnswerColumns:
    """What is written of each row's answer."""
    match task:
        case ClassificationSpec() | OrdinalSpec():
            return _one_label(labels)
        case MultilabelSpec():
            return _several_labels(labels, task.threshold)
        case RegressionSpec():
            return _number()
        case CaptioningSpec():
            return _sentence(CaptionEncoder(tuple(labels), task.tokens, task.lowercase))
        case RetrievalSpec():
            return _embeddings()
        case _:
            assert_never(task)


def numbers_per_row(task: TaskSpec, labels: Sequence[str]) -> int:
    """Numbers in the lists of a row's answer, at least 1."""
    if isinstance(task, RetrievalSpec):
        return 2 * task.width
    return max(len(labels), 1)


def predictions_schema(columns: AnswerColumns, labels: Sequence[str]) -> pa.Schema:
    """The columns of an output shard; the labels, in the order of `probabilities`, are in its metadata."""
    fields: list[pa.Field[Any]] = [
        pa.field("id", pa.string(), nullable=False),
        *columns.fields,
        pa.field("error", pa.string()),
    ]
    return pa.schema(fields, metadata={"mmdist": json.dumps({"version": 1, "labels": list(labels)})})


def _one_label(labels: Sequence[str]) -> AnswerColumns:
    def fill(answers: Arrays, failed: Failed) -> list["pa.Array[Any]"]:
        probabilities = np.asarray(answers["probabilities"], np.float32)
        best = probabilities.argmax(axis=1)
        return [
            pa.array(np.array(labels, dtype=object)[best], pa.string(), mask=failed),
            pa.array(probabilities[np.arange(len(best)), best], mask=failed),
            _lists(probabilities, failed),
        ]

    fields = (
        pa.field("predicted", pa.string()),
        pa.field("confidence", pa.float32()),
        pa.field("probabilities", pa.list_(pa.float32())),
    )
    return AnswerColumns(fields, fill)


def _several_labels(labels: Sequence[str], threshold: float) -> AnswerColumns:
    def fill(answers: Arrays, failed: Failed) -> list["pa.Array[Any]"]:
        probabilities = np.asarray(answers["probabilities"], np.float32)
        given = [
            None if is_bad else [labels[number] for number in np.flatnonzero(row >= threshold).tolist()]
            for row, is_bad in zip(probabilities, failed.tolist(), strict=True)
        ]
        return [pa.array(given, pa.list_(pa.string())), _lists(probabilities, failed)]

    fields = (pa.field("predicted", pa.list_(pa.string())), pa.field("probabilities", pa.list_(pa.float32())))
    return AnswerColumns(fields, fill)


def _number() -> AnswerColumns:
    def fill(answers: Arrays, failed: Failed) -> list["pa.Array[Any]"]:
        return [pa.array(np.asarray(answers["value"], np.float32), mask=failed)]

    return AnswerColumns((pa.field("predicted", pa.float32()),), fill)


def _sentence(encoder: CaptionEncoder) -> AnswerColumns:
    def fill(answers: Arrays, failed: Failed) -> list["pa.Array[Any]"]:
        said = [
            None if is_bad else join_words(encoder.words_of(tokens))
            for tokens, is_bad in zip(answers["tokens"], failed.tolist(), strict=True)
        ]
        return [pa.array(said, pa.string()), pa.array(answers["log_probability"], pa.float32(), mask=failed)]

    return AnswerColumns((pa.field("predicted", pa.string()), pa.field("log_probability", pa.float32())), fill)


def _embeddings() -> AnswerColumns:
    modalities = ("image", "text")

    def fill(answers: Arrays, failed: Failed) -> list["pa.Array[Any]"]:
        return [
            _lists(
                np.asarray(answers[f"{modality}_embedding"], np.float32),
                failed | (np.asarray(answers[f"{modality}_present"]) == 0),
            )
            for modality in modalities
        ]

    return AnswerColumns(
        tuple(pa.field(f"{modality}_embedding", pa.list_(pa.float32())) for modality in modalities), fill
    )


def _lists(values: npt.NDArray[np.float32], failed: Failed) -> "pa.Array[Any]":
    offsets: Any = pa.array(np.arange(len(values) + 1, dtype=np.int32) * values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)), mask=pa.array(failed))
