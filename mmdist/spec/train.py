"""The train section: epochs, batch, optimizer, checkpoints and early stopping."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mmdist.spec.base import Spec
from mmdist.spec.optimizer import AdamSpec, OptimizerSpec

__all__ = ["AveragesSpec", "CheckpointSpec", "EarlyStoppingSpec", "KeepBestSpec", "TrainSpec"]


class KeepBestSpec(Spec):
    """Keeps the checkpoints with the best value of a metric."""

    metric: str | None = None
    """Loss or a metric of the task, of `train` or of `val`. Default: the task's first, such as `val/accuracy`."""
    mode: Literal["min", "max"] | None = None
    """Whether the best value is the smallest or the largest. Default: as the metric wants it."""
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

    metric: str = "val/loss"
    """Loss or a metric of the task, of `train` or of `val`."""
    mode: Literal["min", "max"] | None = None
    """Whether the best value is the smallest or the largest. Default: as the metric wants it."""
    patience: NonNegativeInt = 5
    """Epochs without improvement that are borne."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.0
    """Smallest change that counts as an improvement."""


class AveragesSpec(Spec):
    """Exponential moving averages of the weights, which are validated and become the model."""

    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """Share of the average that each step keeps. The first steps keep less: (1 + step) / (10 + step)."""


class TrainSpec(Spec):
    """How the model is trained."""

    epochs: PositiveInt = 10
    """Passes over the training split."""
    global_batch_size: PositiveInt = 256
    """Rows per step over all workers and replicas."""
    optimizer: OptimizerSpec = AdamSpec()
    """How gradients become steps."""
    accumulate: PositiveInt = 1
    """Parts of a batch that each replica computes one after the other, for one update: less memory, equal steps."""
    clip_norm: PositiveFloat | None = None
    """Largest norm of all gradients together, over all replicas; longer ones are shortened to it."""
    adaptive_clip: PositiveFloat | None = None
    """Largest norm of the gradient of a unit, as a share of the norm of its weights, over all replicas; such as 0.01.
    Heads are left alone."""
    averages: AveragesSpec | None = None
    """Averages of the weights; without them, the weights of the best checkpoint become the model."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward and backward pass. Weights, heads and losses are float32 in any."""
    xla: bool | Literal["auto"] = "auto"
    """Whether XLA compiles the training step, which one replica alone can; `auto`: no, it is slower on CPU."""
    deterministic: bool | Literal["auto"] = "auto"
    """Whether every operation is chosen to repeat bit for bit; `auto`: on CPU yes, on GPU and with XLA no."""
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

    @property
    def exact_operations(self) -> bool | Literal["auto"]:
        """`deterministic`; with XLA, which has no such form of some operations, `auto` is no."""
        return False if self.xla is True and self.deterministic == "auto" else self.deterministic
