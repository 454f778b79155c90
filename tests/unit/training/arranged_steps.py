"""A few training steps as one worker of WORKERS x REPLICAS, over the same batches; weights and sums to a file."""

import os
import sys
from dataclasses import replace

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

SIDE, CLASSES, ROWS = 8, 3, 32
CLIP_NORM = 0.05
"""Far below that of any of the steps."""
ADAPTIVE_CLIP = 0.05
REAL = (32, 20, 9, 32)
"""Rows that count of each batch; the third leaves the second half of the places without any."""


def batches():
    from mmdist.data.batches import Batch, LedgerDelta

    for index, real in enumerate(REAL):
        rng = np.random.default_rng(index)
        yield Batch(
            index=index,
            image=rng.integers(0, 256, (ROWS, SIDE, SIDE, 3)).astype(np.uint8),
            image_present=np.ones(ROWS, np.bool_),
            text=None,
            text_present=np.zeros(ROWS, np.bool_),
            label=rng.integers(0, CLASSES, ROWS).astype(np.int32),
            mask=(np.arange(ROWS) < real).astype(np.float32),
            row=np.arange(ROWS, dtype=np.int64),
            ids=[str(row) for row in range(ROWS)],
            bad=[],
            ledger=LedgerDelta(real, {}),
        )


def poisoned():
    """A batch of which one row weighs infinitely: the last one, of the last worker alone."""
    batch = next(batches())
    return replace(batch, mask=np.where(np.arange(ROWS) == ROWS - 1, np.inf, batch.mask).astype(np.float32))


def part_of(batch, rank, workers):
    """A worker's places, as a stream over its lanes gives them."""
    size = ROWS // workers
    own = slice(rank * size, (rank + 1) * size)
    names = ("image", "image_present", "text_present", "label", "mask", "row", "ids")
    return replace(batch, **{name: getattr(batch, name)[own] for name in names})


def build_model(synchronized):
    import keras

    inputs = {
        "image": keras.Input((SIDE, SIDE, 3), name="image"),
        "image_present": keras.Input((), dtype="bool", name="image_present"),
    }
    penalty = keras.regularizers.L1L2(l1=1e-3, l2=1e-2)
    # No bias: normalization takes it off again, so that its gradient is rounding alone, which Adam would blow up.
    start = keras.initializers.HeNormal(1)
    convolve = keras.layers.Conv2D(4, 3, use_bias=False, kernel_regularizer=penalty, kernel_initializer=start)
    values = convolve(inputs["image"])
    values = keras.layers.BatchNormalization(synchronized=synchronized)(values)
    values = keras.layers.Flatten()(keras.layers.ReLU()(values))
    logits = keras.layers.Dense(CLASSES, kernel_regularizer=penalty, kernel_initializer=keras.initializers.HeNormal(2))
    return keras.Model(inputs, {"logits": logits(values)})


def main() -> None:
    path, rank, workers, replicas, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    from mmdist.spec.resources import ResourcesSpec
    from mmdist.training.devices import set_up_devices

    spec = ResourcesSpec(workers=workers, replicas_per_worker=replicas, cpus_per_worker=2)
    devices = set_up_devices(spec, workers=workers, deterministic=True, seed=0)
    import keras

    from mmdist.models.arrays import read_variables
    from mmdist.models.tasks import ClassificationTask
    from mmdist.spec.model import RegularizationSpec
    from mmdist.spec.task import ClassificationSpec
    from mmdist.spec.train import AveragesSpec
    from mmdist.training.averages import Averages
    from mmdist.training.clipping import Clipping
    from mmdist.training.step import Steps
    from mmdist.training.undo import Undo

    with devices.strategy.scope():
        model = build_model(synchronized=kind != "unsynchronized")
        optimizer = keras.optimizers.Adam(0.01)
        if kind in ("sgd", "held", "held apart"):
            norm = CLIP_NORM if kind == "held apart" else None
            optimizer = keras.optimizers.SGD(0.05, global_clipnorm=norm)
        optimizer.build(model.trainable_variables)
    is_held = kind in ("held", "held apart")
    averages = Averages(devices.strategy, model.trainable_variables, AveragesSpec() if is_held else None)
    task = ClassificationTask(ClassificationSpec(), regularization=RegularizationSpec(), classes=CLASSES, seed=0)
    changed = [*model.variables, *optimizer.variables, *averages.variables]
    steps = Steps(
        model,
        task,
        optimizer,
        devices.strategy,
        augmentations=(),
        seed=0,
        local_replicas=replicas,
        worker=rank,
        accumulate=2 if kind == "held" else 1,
        clipping=Clipping(CLIP_NORM if kind == "held" else None, ADAPTIVE_CLIP if kind == "held" else None),
        averages=averages,
        undo=Undo(devices.strategy, changed) if kind == "undone" else None,
    )
    sums = []
    if kind in ("undone", "not undone"):
        told = steps.sums(steps.train(part_of(poisoned(), rank, workers), epoch=0))
        assert told.broken, "every worker learns that one of them diverged"
    for batch in batches():
        own = part_of(batch, rank, workers)
        sums.append(steps.sums(steps.train(own, epoch=0, stop=rank == workers - 1 and batch.index == 1)))
    with averages.in_use():
        sums += [steps.sums(steps.validate(part_of(batch, rank, workers))) for batch in batches()]
    arrays = {
        f"v{number:02d}": array for number, array in enumerate(read_variables([*model.variables, *averages.variables]))
    }
    told = [(each.loss_sum, *each.counts, each.rows, each.stop_votes) for each in sums]
    np.savez(path, sums=np.array(told), **arrays)


if __name__ == "__main__":
    main()
