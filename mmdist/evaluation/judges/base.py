"""What judging the answers of a task takes, beside what every evaluation does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from mmdist.data.batches import Batch
from mmdist.evaluation.bootstrap import resample
from mmdist.evaluation.metrics import with_interval
from mmdist.evaluation.mistakes import MistakeKeeper
from mmdist.evaluation.row_pictures import RowPictures
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.storage import Store

__all__ = ["Judge", "JudgedRows", "headline_of"]

Floats = npt.NDArray[np.float64]
Statistics = Mapping[str, Callable[[Floats], Floats]]


@dataclass(frozen=True)
class JudgedRows:
    """N rows of a batch that count."""

    batch: Batch
    places: npt.NDArray[np.int64]
    """(N,): where they are in the batch."""
    texts: Sequence[str | None]
    """N texts, None where there is none."""

    @property
    def label(self) -> npt.NDArray[Any]:
        """(N, ...): what the task is to learn of them."""
        if self.batch.label is None:
            raise ValueError("rows are judged by their labels")
        return np.asarray(self.batch.label[self.places])

    @property
    def common(self) -> list["pa.Array[Any]"]:
        """Number within the dataset and name of each, for predictions.parquet."""
        names = [self.batch.ids[place] for place in self.places.tolist()]
        return [pa.array(self.batch.row[self.places], pa.int64()), pa.array(names, pa.string())]


def headline_of(
    features: sparse.csr_matrix, statistics: Statistics, spec: EvaluationSpec, seed: int
) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Metrics with their intervals, and by metric its resamples (S,).

    Args:
        features: (N, K): what each row adds to each sum.
        statistics: By name of a metric, from the sums (S, K) of S resamples to its values (S,).
        spec: Level and resamples.
        seed: Equal numbers of rows and equal seeds draw the same rows, so that differences can be taken.
    """
    total = np.asarray(features.sum(axis=0), np.float64).reshape(1, -1)
    drawn = list(resample(features, samples=spec.bootstrap_samples, seed=seed))
    samples = {name: np.concatenate([of(sums) for sums in drawn]) for name, of in statistics.items()}
    return {name: with_interval(of(total)[0], samples[name], spec) for name, of in statistics.items()}, samples


class Judge(ABC):
    """Takes a model's answers by and by, and tells how good they are."""

    mistakes: MistakeKeeper
    """The worst answers."""

    withholds: ClassVar[bool] = True
    """Whether `take_withheld` is to be called."""

    def __init__(self, spec: EvaluationSpec) -> None:
        self.spec = spec
        self.mistakes = MistakeKeeper(spec.mistakes)

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns of predictions.parquet."""

    def text_column(self, columns: ColumnsSpec) -> str | None:
        """The column that `JudgedRows.texts` are read from."""
        return columns.text

    @abstractmethod
    def take(self, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
        """Takes rows and their answers, (N, ...) by name; returns them as predictions.parquet has them.

        Raises:
            TrainingFailedError: where an answer is not finite, or has the wrong shape.
        """

    @abstractmethod
    def take_withheld(self, modality: str, rows: JudgedRows, answers: Mapping[str, npt.NDArray[Any]]) -> None:
        """Takes the answers to the same rows when the model is not shown a modality."""

    def rest(self) -> pa.Table | None:
        """Rows of predictions.parquet that are only known when all rows were taken; mostly none. Called once."""
        return None

    def write_examples(self, run: Store, pictures: RowPictures) -> None:
        """Writes report/mistakes.parquet, and what else the page shows of single rows."""
        self.mistakes.write(run)

    @abstractmethod
    def metrics(self, seed: int) -> dict[str, Any]:
        """All numbers of the report over at least one row, of types that JSON holds.

        `task`, `main` (name of the metric that counts most), `rows`, `headline` (each metric as `value`, `low`,
        `high`), `baseline` (the best answer that looks at nothing) and `ablation`; the rest is the task's own.
        """
