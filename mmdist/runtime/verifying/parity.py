"""One device against several: the same batches from the same weights, step by step, in one process.

Before each step every replica holds the one device's bits, so that differences do not add up over steps. The tolerance
is 4 * sqrt(n) * 2^-24: a float32 sum over n places, added in another order, differs by about sqrt(n) roundings of 2^-24
(doi:10.1137/18M1226312), and four times that is rare. n is the places that a shared weight's gradient is summed over:
rows of a batch times pixels, tokens or windows and bands of a recording.

Some models make more of a rounding: after batch normalization many numbers lie next to zero, where ReLU turns. How much
is measured on one device, by moving every weight to a neighbouring float32.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmdist.data.batches import Batch
from mmdist.data.order import plan_epoch
from mmdist.data.stream import BatchStream, scan
from mmdist.runtime.verifying.bits import flip_bit
from mmdist.runtime.verifying.records import append_line
from mmdist.runtime.verifying.replicas import most_borne
from mmdist.runtime.verifying.watching import copies_of, unlike_copies
from mmdist.spec.job import TrainJob
from mmdist.storage import EventWriter, Store
from mmdist.training.devices import Devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.parts import LoopParts
from mmdist.training.prepare import Prepared
from mmdist.training.session import close_parts, open_session

__all__ = ["compare_replicas", "tolerance_for"]

Array = npt.NDArray[Any]
ROUNDING = 2.0**-24
SAFETY = 4.0
HALF_ROUNDING = {"float32": 0.0, "bfloat16": 2.0**-9, "float16": 2.0**-12}
"""Of each replica's share of a gradient, which is summed in float32, and rounded before replicas are added up."""
HALF_SAFETY = 16.0


def tolerance_for(job: TrainJob) -> float:
    """How far loss and gradients may differ, relative to their size."""
    columns, data = job.data.columns, job.data
    pixels = math.prod(data.image.size) if columns.image is not None else 1
    tokens = data.text.tokens if columns.text is not None else 1
    sounds = math.prod(data.audio.shape) if columns.audio is not None else 1
    exact = SAFETY * math.sqrt(job.train.global_batch_size * max(pixels, tokens, sounds)) * ROUNDING
    return exact + HALF_SAFETY * HALF_ROUNDING[job.train.precision]


def compare_replicas(
    job: TrainJob,
    run: Store,
    events: EventWriter,
    data: Prepared,
    devices: Devices,
    heartbeat: Heartbeat,
    recording: Path,
) -> None:
    """Trains an epoch on one device and on all of them, and writes down how far each step is apart."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    one_device = replace(
        devices, strategy=tf.distribute.MirroredStrategy(devices.names[:1]), local_replicas=1, replicas=1
    )
    sides = []
    for name, used in (("one", one_device), ("many", devices)):
        side_run, side_events = run.child(name), EventWriter(run.child(name), 1, "worker-0.0")
        parts, _ = open_session(job, side_run, side_events, data, used, heartbeat, rank=0, workers=1, restart=0)
        sides.append(_Side(parts, _tap_gradients(parts.optimizer, parts.model.trainable_variables, used.strategy)))
    one, many = sides
    append_line(
        recording,
        "parity",
        {"kind_of_device": devices.kind, "replicas": devices.replicas, "tolerance": tolerance_for(job)},
    )
    try:
        _compare_epoch(job, data, one, many, recording)
        _compare_validation(job, data, one, many, recording)
    finally:
        for side in sides:
            close_parts(side.parts)


@dataclass(frozen=True)
class _Side:
    parts: LoopParts
    gradients: list[Any]
    """What each trainable variable was last updated with."""

    @property
    def variables(self) -> list[Any]:
        return self.parts.variables

    def unlike(self) -> list[str]:
        """Names of variables, gradients among them, that replicas hold different copies of."""
        own = [str(variable.path) for variable in self.variables if unlike_copies(copies_of(variable))]
        names = (variable.path for variable in self.parts.model.trainable_variables)
        taps = zip(names, self.gradients, strict=True)
        return own + [f"gradient of {name}" for name, tap in taps if unlike_copies(copies_of(tap))]


def _tap_gradients(optimizer: Any, variables: Any, strategy: Any) -> list[Any]:
    """Variables that keep, on each replica, what the optimizer is given to update each weight with."""
    with strategy.scope():
        taps = [keras.Variable(np.zeros(variable.shape, np.float32), trainable=False) for variable in variables]
    update_step = optimizer.update_step

    def tapped(gradient: Any, variable: Any, learning_rate: Any) -> Any:
        taps[optimizer._get_variable_index(variable)].assign(tf.convert_to_tensor(gradient))
        return update_step(gradient, variable, learning_rate)

    optimizer.update_step = tapped
    return taps


def _compare_epoch(job: TrainJob, data: Prepared, one: _Side, many: _Side, recording: Path) -> None:
    plan = plan_epoch(
        data.train.index.rows,
        fingerprint=data.train.fingerprint,
        seed=job.seed,
        epoch=0,
        global_batch_size=job.train.global_batch_size,
        order=job.data.order,
    )
    names = [str(variable.path) for variable in one.parts.model.trainable_variables]
    first: tuple[list[Array], list[Array]] | None = None
    most_shaken = 0.0
    with BatchStream(data.train, plan, data.collator) as stream:
        for batch in stream:
            start = [copies_of(variable)[0] for variable in one.variables]
            for variable, array in zip(many.variables, start, strict=True):
                variable.assign(array)
            sums = [side.parts.steps.sums(side.parts.steps.train(batch, epoch=0)) for side in (one, many)]
            expected, received = ([copies_of(tap)[0] for tap in side.gradients] for side in (one, many))
            weights = [[copies_of(variable)[0] for variable in side.parts.model.variables] for side in (one, many)]
            neighbours = _gradients_of_neighbour(one, batch, start)
            moved = _norm(_differences(weights[0], start))
            shaken = max(gradient_distances(names, expected, neighbours).values(), default=0.0)
            first, most_shaken = first or (expected, weights[0]), max(most_shaken, shaken)
            append_line(
                recording,
                "pair",
                {
                    "rows": int((batch.row >= 0).sum()),
                    "usable": batch.rows,
                    "counted": [sums[0].rows, sums[1].rows],
                    "loss": _relative(sums[0].loss_sum, sums[1].loss_sum),
                    "gradients": gradient_distances(names, expected, received),
                    "shaken": shaken,
                    "gradient_norm": _norm(expected),
                    "ratio": _ratio(expected, received),
                    "update": _norm(_differences(*weights)) / moved if moved else math.nan,
                    "unlike": many.unlike(),
                },
            )
    if first is not None:
        append_line(recording, "controls", _controls(*first, most_borne(tolerance_for(job), most_shaken)))


def _gradients_of_neighbour(side: _Side, batch: Batch, start: list[Array]) -> list[Array]:
    """Gradients of a step from the float32 weights next to those that it started from; the side stays as it is."""
    after = [copies_of(variable)[0] for variable in side.variables]
    trained = {id(variable) for variable in side.parts.model.trainable_variables}
    draws = np.random.default_rng(batch.index)
    for variable, array in zip(side.variables, start, strict=True):
        variable.assign(_neighbour(array, draws) if id(variable) in trained else array)
    side.parts.steps.sums(side.parts.steps.train(batch, epoch=0))
    gradients = [copies_of(tap)[0] for tap in side.gradients]
    for variable, array in zip(side.variables, after, strict=True):
        variable.assign(array)
    return gradients


def _neighbour(array: Array, draws: np.random.Generator) -> Array:
    """Each number moved to the next one above or below, by chance."""
    neighbour: Array = np.nextafter(
        array, np.where(draws.random(array.shape) < 0.5, np.inf, -np.inf).astype(array.dtype)
    )
    return neighbour


def _compare_validation(job: TrainJob, data: Prepared, one: _Side, many: _Side, recording: Path) -> None:
    for variable, source in zip(many.variables, one.variables, strict=True):
        variable.assign(copies_of(source)[0])
    with scan(data.validation, data.collator, job.train.global_batch_size) as batches:
        for batch in batches:
            sums = [side.parts.steps.sums(side.parts.steps.validate(batch)) for side in (one, many)]
            append_line(
                recording,
                "validation",
                {
                    "usable": batch.rows,
                    "counted": [sums[0].rows, sums[1].rows],
                    "loss": _relative(sums[0].loss_sum, sums[1].loss_sum),
                },
            )


def gradient_distances(names: list[str], expected: list[Array], received: list[Array]) -> dict[str, float]:
    """By weight, how far two gradients are apart, relative to the first.

    A weight whose gradient is next to nothing beside all others is measured against a thousandth of all together:
    what is left of sums that cancel out is rounding.
    """
    floor = _norm(expected) * 1e-3
    return {
        name: _norm(_differences([theirs], [ours])) / max(_norm([ours]), floor, 1e-30)
        for name, ours, theirs in zip(names, expected, received, strict=True)
    }


def _controls(gradients: list[Array], weights: list[Array], borne: float) -> dict[str, bool]:
    """Faults planted into copies of a step's own numbers; True for each that the comparers saw."""
    names = [str(number) for number in range(len(gradients))]
    largest = max(range(len(gradients)), key=lambda number: _norm([gradients[number]]))
    off = [array * (1 + 2 * borne) if number == largest else array for number, array in enumerate(gradients)]
    half = [array * 0.5 for array in gradients]
    whole = max(weights, key=lambda array: array.nbytes)
    same = max(gradient_distances(names, gradients, gradients).values())
    return {
        "a gradient off by twice what is borne": same == 0.0
        and max(gradient_distances(names, gradients, off).values()) > borne,
        "half of every gradient, as from replicas that do not add up": abs(_ratio(gradients, half) - 0.5) < 1e-3
        and max(gradient_distances(names, gradients, half).values()) > borne,
        "one flipped bit in one replica's copy": unlike_copies([whole, flip_bit(whole)]),
    }


def _differences(these: list[Array], those: list[Array]) -> list[Array]:
    return [one.astype(np.float64) - other.astype(np.float64) for one, other in zip(these, those, strict=False)]


def _norm(arrays: list[Array]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(array.astype(np.float64)))) for array in arrays))


def _ratio(expected: list[Array], received: list[Array]) -> float:
    """How large the second is beside the first, along the first."""
    along = sum(
        float(np.vdot(a.astype(np.float64), b.astype(np.float64))) for a, b in zip(expected, received, strict=True)
    )
    size = _norm(expected) ** 2
    return along / size if size else math.nan


def _relative(expected: float, received: float) -> float:
    return abs(received - expected) / max(abs(expected), 1e-30)
