"""The train section: epochs, batch, optimizer, checkpoints and early stopping."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["AdamSpec", "CheckpointSpec", "EarlyStoppingSpec", "KeepBestSpec", "Metric", "OptimizerSpec", "TrainSpec"]

Metric = Literal["val/loss", "val/accuracy", "train/loss", "train/accuracy"]


class AdamSpec(Spec):
    """Adam (arXiv:1412.6980)."""

    type: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 0.001
    beta_1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta_2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    epsilon: PositiveFloat = 1e-7


OptimizerSpec = AdamSpec


class KeepBestSpec(Spec):
    """Keeps the checkpoints with the best value of a metric."""

    metric: Metric = "val/accuracy"
    mode: Literal["min", "max"] = "max"
    """Whether the best value is the smallest or the largest."""
    count: PositiveInt = 1
    """How many are kept."""


class CheckpointSpec(Spec):
    """When the training state is written, and which of it is kept."""

    every: Literal["epoch"] | PositiveInt = "epoch"
    """`epoch`, or a number of steps; the end of an epoch is always written."""
    keep_last: PositiveInt = 2
    """Newest checkpoints that are kept."""
    keep_best: KeepBestSpec = KeepBestSpec()


class EarlyStoppingSpec(Spec):
    """Ends training when a metric has not improved for some epochs."""

    metric: Metric = "val/loss"
    mode: Literal["min", "max"] = "min"
    patience: NonNegativeInt = 5
    """Epochs without improvement that are borne."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0
    """Smallest change that counts as an improvement."""


class TrainSpec(Spec):
    """How the model is trained."""

    epochs: PositiveInt = 10
    """Passes over the training split."""
    global_batch_size: PositiveInt = 256
    """Rows per step over all workers and replicas."""
    optimizer: OptimizerSpec = AdamSpec()
    precision: Literal["float32"] = "float32"
    """Number format of the forward and backward pass."""
    deterministic: bool | Literal["auto"] = "auto"
    """Whether every operation is chosen to repeat bit for bit; `auto`: on CPU yes, on GPU no."""
    on_divergence: Literal["stop", "skip", "rollback"] = "stop"
    """Where the loss or its gradient is no number: end the run, leave the batch's step out (at the cost of a copy of
    all weights per step), or go back to the newest checkpoint and leave the batch out."""
    max_divergences: PositiveInt = 5
    """Batches that `skip` and `rollback` leave out before the run ends."""
    checkpoint: CheckpointSpec = CheckpointSpec()
    early_stopping: EarlyStoppingSpec | None = None
    """Without it, every epoch is trained."""
    tensorboard: bool = True
    """Whether the curves are also written for TensorBoard."""
