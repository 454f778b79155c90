"""Finds a learning rate: trains a few steps while the rate rises, and looks at where the loss falls.

Ref: arXiv:1506.01086 (cyclical learning rates; the range test).
"""

import itertools
import math
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.errors import DataRefusedError, Place, TrainingFailedError
from mmdist.spec.job import TrainJob
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, open_store

__all__ = ["LEAST_STEPS", "Sweep", "judge", "rate_of", "sweep"]

LEAST_STEPS = 20
"""Fewest steps that say anything of a loss."""

_KEPT = 0.9
"""Share of the running mean that each step keeps."""
_RISEN = 4.0
"""Times the lowest loss at which a sweep is over."""
_FIRST_STEPS = 5
"""Steps before a fall can be told from the noise of the first batches, over which the mean has nothing to run yet."""
_MOST_OF_LOWEST = 0.1
"""Share of the rate with the lowest loss that is suggested at most: there the loss is about to rise."""
_LEAST_FALL = 0.02
"""Share of the first loss by which it must have fallen."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """What a sweep has found."""

    rates: tuple[float, ...]
    """By step, from the smallest."""
    losses: tuple[float, ...]
    """By step, the task's plain loss over the batch, before the step's update."""
    smoothed: tuple[float, ...]
    """By step, the running mean of the losses."""
    suggested: float
    """Where the smoothed loss falls fastest by the logarithm of the rate, and at most a tenth of `lowest`."""
    lowest: float
    """Where the smoothed loss is lowest: from here on the rate is too large."""
    diverged: bool
    """Whether the sweep ended early, for the loss had risen to several times its lowest, or was no number."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def rate_of(step: int, *, first: float, last: float, steps: int) -> float:
    """The rate of a step: equal factors from the first to the last."""
    return float(first * (last / first) ** (step / (steps - 1)))


def judge(rates: Sequence[float], losses: Sequence[float], *, diverged: bool) -> Sweep:
    """Smooths a sweep's losses and chooses a rate.

    Args:
        rates: Rising by equal factors.
        losses: Finite, one per rate.
        diverged: Whether the sweep ended early.

    Raises:
        TrainingFailedError: where the loss never fell.
    """
    smoothed = _smoothed(losses)
    lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
    if len(smoothed) <= _FIRST_STEPS or smoothed[lowest] > (1 - _LEAST_FALL) * smoothed[0] or lowest < _FIRST_STEPS:
        shown = f"{losses[0]:.4g} at {rates[0]:.1e}" if losses else "no step with a finite loss"
        lows = f", at the least {smoothed[lowest]:.4g} at {rates[lowest]:.1e}" if len(smoothed) else ""
        raise TrainingFailedError(
            "the loss did not fall at any learning rate",
            expected=f"a loss that falls by {_LEAST_FALL:.0%} at least",
            received=f"{shown}{lows}",
            remedy="sweep from a smaller rate (`--from`) over more steps (`--steps`), or look at labels and columns",
        )
    slopes = np.gradient(smoothed, np.log(np.array(rates)))
    below = np.array(rates) <= rates[lowest] * _MOST_OF_LOWEST
    if below[_FIRST_STEPS:].any():
        below[:_FIRST_STEPS] = False
    elif not below.any():  # the sweep began too late to tell more
        below[0] = True
    steepest = int(np.argmin(np.where(below, slopes, np.inf)))
    return Sweep(
        tuple(rates), tuple(losses), tuple(smoothed.tolist()), float(rates[steepest]), float(rates[lowest]), diverged
    )


def sweep(
    job: TrainJob, *, first: float, last: float, steps: int, on_step: Callable[[int, float, float], None]
) -> Sweep:
    """Trains the job's model from its first weights over its own batches in their order, at rising rates.

    It must be the first in its process to use TensorFlow. What a run keeps goes to a temporary folder. A schedule and
    averages of the weights are left out; of several workers, one trains here. Rows that cannot be used are passed over.

    Args:
        job: The resolved job; its data is there.
        first: Rate of the first step.
        last: Rate of the last one.
        steps: At least `LEAST_STEPS`.
        on_step: Called with the number of each step, its rate and its loss.

    Raises:
        TrainingFailedError: where the loss never fell.
        DataRefusedError: where no row can be used.
        MmdistError: what else keeps the job from being trained at all.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    rates: list[float] = []
    losses: list[float] = []
    diverged = False
    with tempfile.TemporaryDirectory(prefix="mmdist-lr-") as folder:
        measured = _losses(_prepared(job), folder, lambda step: rate_of(step, first=first, last=last, steps=steps))
        for step, loss in enumerate(itertools.islice(measured, steps)):
            if not math.isfinite(loss):
                diverged = True
                break
            rates.append(rate_of(step, first=first, last=last, steps=steps))
            losses.append(loss)
            on_step(step, rates[-1], loss)
            means = _smoothed(losses)
            if step >= _FIRST_STEPS and means[-1] > _RISEN * means.min():
                diverged = True
                break
        measured.close()
    return judge(rates, losses, diverged=diverged)


def _prepared(job: TrainJob) -> TrainJob:
    """The job without what a few steps have no use for."""
    optimizer = job.train.optimizer.model_copy(update={"schedule": None})
    train = {"optimizer": optimizer, "averages": None, "on_divergence": "stop", "tensorboard": False}
    resources = ResourcesSpec.model_validate({**job.resources.model_dump(), "workers": 1, "min_workers": None})
    return job.model_copy(update={"import_": None, "train": job.train.model_copy(update=train), "resources": resources})


def _losses(job: TrainJob, folder: str, rate_at: Callable[[int], float]) -> Generator[float, None, None]:
    """The loss of each step, taken at its rate; not finite where the step's loss or gradient is not."""
    # Late, for these import TensorFlow.
    from mmdist.data.order import plan_epoch
    from mmdist.data.stream import BatchStream
    from mmdist.training.devices import set_up_devices
    from mmdist.training.heartbeat import Heartbeat
    from mmdist.training.prepare import prepare
    from mmdist.training.session import close_parts, open_session

    run = open_store(folder)
    devices = set_up_devices(job.resources, workers=1, deterministic=job.train.exact_operations, seed=job.seed)
    data = prepare(job, run, threads=devices.threads, is_chief=True, on_progress=lambda *_: None)
    parts, _ = open_session(
        job, run, EventWriter(run, 1, "lr"), data, devices, Heartbeat(run, "lr"), rank=0, workers=1, restart=0
    )
    step = 0
    try:
        for epoch in itertools.count():
            plan = plan_epoch(
                data.train.index.rows,
                fingerprint=data.train.fingerprint,
                seed=job.seed,
                epoch=epoch,
                global_batch_size=job.train.global_batch_size,
                order=job.data.order,
            )
            if epoch and not step:
                raise DataRefusedError(
                    "no row of the training data can be used",
                    place=Place(file=data.train.store.url, key="data.train"),
                    remedy="look at it with `mmdist data inspect`",
                )
            with BatchStream(data.train, plan, data.collator) as batches:
                for batch in batches:
                    parts.optimizer.learning_rate.assign(rate_at(step))
                    sums = parts.steps.sums(parts.steps.train(batch, epoch=epoch))
                    if sums.overflowed or not sums.rows:
                        continue  # nothing was learned of it: the rate is tried on the next batch
                    step += 1
                    yield math.nan if sums.broken else sums.loss_sum / sums.rows
    finally:
        close_parts(parts)


def _smoothed(losses: Sequence[float]) -> Floats:
    """Running means, corrected for their beginning at 0."""
    means, mean = np.empty(len(losses)), 0.0
    for step, loss in enumerate(losses):
        mean = _KEPT * mean + (1 - _KEPT) * loss
        means[step] = mean / (1 - _KEPT ** (step + 1))
    return means
