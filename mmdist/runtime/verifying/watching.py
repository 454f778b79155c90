"""Looks at a training from inside its process: the bits of every variable, on every replica, before every step."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.batches import Batch
from mmdist.errors import MmdistError
from mmdist.runtime.verifying.bits import digest, flip_bit
from mmdist.runtime.verifying.records import Opening, StepRecord, append_line
from mmdist.spec.job import TrainJob
from mmdist.storage import EventWriter, Store
from mmdist.training.devices import Devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.loop import Loop
from mmdist.training.prepare import Prepared
from mmdist.training.session import close_parts, open_session

__all__ = ["WatchedSteps", "copies_of", "train_watched", "unlike_copies"]

Array = npt.NDArray[Any]
PAUSE_LIMIT_S = 120.0


def copies_of(variable: Any) -> list[Array]:
    """A Keras variable's value on each replica of this process, as host arrays."""
    value = variable.value
    parts = getattr(value, "values", None)
    return [np.asarray(part.numpy()) for part in (parts if parts is not None else (value,))]


def unlike_copies(copies: Sequence[Array]) -> bool:
    """Whether replicas hold other bits than the first one."""
    return any(copy.tobytes() != copies[0].tobytes() for copy in copies[1:])


def group_of(variable: Any, *, is_models: bool) -> str:
    """What a variable is: `seed` for the state of a random number generator, `weight`, or `slot` of the optimizer."""
    if not is_models:
        return "slot"
    return "seed" if "seed_generator" in variable.path else "weight"


class WatchedSteps:
    """The steps of a training, written down one by one; all else is the steps' own.

    Args:
        steps: The steps.
        variables: All variables of model and optimizer.
        path: Where lines are added.
        pause_after: Steps after which it waits to be killed, with the last of them on its way.
    """

    def __init__(self, steps: Any, variables: Sequence[Any], path: Path, *, pause_after: int | None = None) -> None:
        self._steps = steps
        self._variables = list(variables)
        self._path = path
        self._pause_after = pause_after
        self._done = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)

    def train(self, batch: Batch, **options: Any) -> Any:
        """Trains on a batch, and writes down with what and from where."""
        state, unlike = self.look()
        result = self._steps.train(batch, **options)
        sums = self._steps.sums(result)
        real = batch.row >= 0
        append_line(
            self._path,
            "step",
            StepRecord(
                epoch=int(options["epoch"]),
                batch=batch.index,
                rows=tuple(batch.row[real].tolist()),
                fed=tuple(batch.row[real & (batch.mask > 0)].tolist()),
                state=tuple(state),
                loss_sum=sums.loss_sum,
                counted=sums.rows,
                unlike=tuple(unlike),
            ),
        )
        self._done += 1
        if self._done == self._pause_after:
            time.sleep(PAUSE_LIMIT_S)
            raise MmdistError("the worker was to be killed here, and nobody did")
        return result

    def look(self) -> tuple[list[str], list[str]]:
        """The digest of each variable, and the paths of those whose copies differ between replicas."""
        digests, unlike = [], []
        for variable in self._variables:
            copies = copies_of(variable)
            digests.append(digest(copies[0]))
            if unlike_copies(copies):
                unlike.append(str(variable.path))
        return digests, unlike


def train_watched(
    job: TrainJob,
    run: Store,
    events: EventWriter,
    data: Prepared,
    devices: Devices,
    heartbeat: Heartbeat,
    recording: Path,
    *,
    pause_after: int | None,
) -> None:
    """Trains to the end, or to where it waits to be killed, with everything written down.

    What trains is the training's own loop on the training's own session; there is no model and no report after it.
    """
    parts, state = open_session(job, run, events, data, devices, heartbeat, rank=0, workers=1, restart=0)
    try:
        variables = parts.variables
        steps = WatchedSteps(parts.steps, variables, recording, pause_after=pause_after)
        digests, _ = steps.look()
        of_model = len(parts.model.variables)
        groups = tuple(group_of(variable, is_models=n < of_model) for n, variable in enumerate(variables))
        append_line(
            recording,
            "opening",
            Opening(
                names=tuple(str(variable.path) for variable in variables),
                groups=groups,
                state=tuple(digests),
                step=state.step,
                device_kind=devices.kind,
                replicas=devices.replicas,
                threads=devices.threads,
            ),
        )
        append_line(recording, "controls", comparer_controls(variables))
        watched: Any = steps
        Loop(replace(parts, steps=watched), state).run()
        digests, unlike = steps.look()
        append_line(recording, "end", {"state": digests, "unlike": unlike})
    finally:
        close_parts(parts)


def comparer_controls(variables: Sequence[Any]) -> dict[str, bool]:
    """Faults planted into copies of what is compared here; True for each that was seen."""
    largest = max((copies_of(variable)[0] for variable in variables), key=lambda array: array.nbytes)
    flipped = flip_bit(largest)
    return {
        "one flipped bit of a variable": digest(flipped) != digest(largest)
        and digest(largest.copy()) == digest(largest),
        "one flipped bit in one replica's copy": unlike_copies([largest, flipped])
        and not unlike_copies([largest, largest.copy()]),
    }
