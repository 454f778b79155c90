"""The job file as a whole: one closed model for each kind of job."""

from typing import Annotated, Literal

from pydantic import Field

from mmdist.spec.base import Spec
from mmdist.spec.data import InputDataSpec, TrainDataSpec
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.importing import ImportSpec
from mmdist.spec.model import ModelSpec
from mmdist.spec.resources import ResourcesSpec
from mmdist.spec.task import ClassificationSpec, TaskSpec
from mmdist.spec.train import TrainSpec

__all__ = ["EvaluateJob", "ImportJob", "JobSpec", "PredictJob", "TrainJob"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class _Job(Spec):
    name: Name
    """Name of the job: letters, digits, `-`, `_` and `.`; runs are named after it."""
    storage: str = "runs"
    """Folder or URL that run directories are made in."""
    seed: Seed = 0
    """Root of every random number in the job."""
    resources: ResourcesSpec = ResourcesSpec()


class ImportJob(_Job):
    """Brings a dataset into Parquet shards."""

    kind: Literal["import"]
    import_: Annotated[ImportSpec, Field(alias="import")]


class TrainJob(_Job):
    """Trains a model, and reports on it."""

    kind: Literal["train"]
    import_: Annotated[ImportSpec | None, Field(alias="import")] = None
    """A dataset to import first."""
    data: TrainDataSpec
    task: TaskSpec = ClassificationSpec()
    model: ModelSpec = ModelSpec()
    train: TrainSpec = TrainSpec()
    evaluation: EvaluationSpec = EvaluationSpec()


class EvaluateJob(_Job):
    """Reports on a trained model over a dataset with labels."""

    kind: Literal["evaluate"]
    model: str
    """A run (its id or folder), or `NAME@latest` for the newest finished run of a train job."""
    data: InputDataSpec
    evaluation: EvaluationSpec = EvaluationSpec()


class PredictJob(_Job):
    """Predicts labels for every row of a dataset."""

    kind: Literal["predict"]
    model: str
    """A run (its id or folder), or `NAME@latest` for the newest finished run of a train job."""
    data: InputDataSpec
    output: str | None = None
    """Folder of the Parquet shards that are written; without it, `predictions` in the run directory."""
    batch_size: Annotated[int, Field(ge=1)] = 256
    """Rows per forward pass."""


JobSpec = Annotated[ImportJob | TrainJob | EvaluateJob | PredictJob, Field(discriminator="kind")]
