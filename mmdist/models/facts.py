"""What a model must know of the data it is built for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DataFacts", "TabularFacts", "absent_inputs", "tabular_facts"]


@dataclass(frozen=True)
class TabularFacts:
    """The fields of records, numbers first."""

    numbers: int
    """Fields with numbers."""
    categories: tuple[int, ...]
    """By field, categories that are told apart, the unknown ones' among them."""


def tabular_facts(record: Mapping[str, Any]) -> TabularFacts:
    """Of what `TabularEncoder.to_json` gives."""
    return TabularFacts(len(record["numbers"]), tuple(len(each["categories"]) + 1 for each in record["categories"]))


@dataclass(frozen=True)
class DataFacts:
    """Facts that come with the data, beside what the job says."""

    image_size: tuple[int, int] | None = None
    """Height and width of the pictures, in pixels; None builds no image tower."""
    text_tokens: int | None = None
    """Tokens per text; None builds no text tower."""
    vocabulary: int | None = None
    """Tokens in the vocabulary; given with `text_tokens`."""
    audio: tuple[int, int] | None = None
    """Windows and mel bands of the spectrograms; None builds no tower for recordings."""
    tabular: TabularFacts | None = None
    """Fields of the records; None builds no tower for them."""
    labels: tuple[str, ...] = ()
    """Labels in the order of the model's outputs, or the words of captions; empty for a task without."""
    label_weights: tuple[float, ...] = ()
    """By label, what its loss is multiplied by in training; empty for 1."""
    target: tuple[float, float] = (0.0, 1.0)
    """Mean and standard deviation of the numbers to predict; they count in regressions alone."""


def absent_inputs(facts: DataFacts, rows: int) -> dict[str, npt.NDArray[Any]]:
    """What a model is fed with where so many rows have none of its modalities: zeros, by the names of its inputs."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    if facts.image_size is not None:
        arrays["image"] = np.zeros((rows, *facts.image_size, 3), np.uint8)
    if facts.text_tokens is not None:
        arrays["text"] = np.zeros((rows, facts.text_tokens), np.int32)
    if facts.audio is not None:
        arrays["audio"] = np.zeros((rows, *facts.audio), np.float32)
    if facts.tabular is not None:
        fields = facts.tabular.numbers + len(facts.tabular.categories)
        arrays["tabular"] = np.zeros((rows, fields, 2), np.float32)
    return arrays | {f"{name}_present": np.zeros(rows, np.bool_) for name in arrays}
