"""Pretrained weights stay while they are frozen, thaw by the epoch alone, and learn at rates of their own."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from strategies import strategy_over

from mmdist.data.batches import Batch, LedgerDelta
from mmdist.models.arrays import read_variables
from mmdist.models.layers import TowerOutput
from mmdist.models.tasks import ClassificationTask
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.spec.train import AveragesSpec
from mmdist.training.averages import Averages
from mmdist.training.clipping import Clipping
from mmdist.training.step import Steps
from mmdist.training.tuning import Tuning
from mmdist.training.undo import Undo

SIDE, CLASSES, ROWS, STEPS = 4, 3, 8, 2
RATE = 0.1


class Tower(keras.layers.Layer):
    """Two pretrained stages, one with statistics that training changes, and a dense layer that starts at random."""

    def __init__(self):
        super().__init__(name="image_tower")
        self.is_frozen = False
        start = keras.initializers.GlorotUniform(seed=1)
        self.low = keras.layers.Dense(6, kernel_initializer=start, name="low")
        self.norm = keras.layers.BatchNormalization(synchronized=True, name="norm")
        self.high = keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(seed=2), name="high")
        self.top = keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(seed=3), name="top")

    @property
    def stages(self):
        return [[*self.low.trainable_weights, *self.norm.trainable_weights], self.high.trainable_weights]

    def call(self, image, present, training=False):
        values = self.low(keras.ops.reshape(image, (-1, SIDE * SIDE * 3)))
        values = self.norm(values, training=training and not self.is_frozen)
        pooled = self.top(self.high(values))
        return TowerOutput(pooled[:, None], present[:, None], pooled)


def batch_of(number):
    rng = np.random.default_rng(number)
    return Batch(
        index=0,
        image=rng.integers(0, 256, (ROWS, SIDE, SIDE, 3)).astype(np.uint8),
        image_present=np.ones(ROWS, np.bool_),
        text=None,
        text_present=np.zeros(ROWS, np.bool_),
        label=rng.integers(0, CLASSES, ROWS).astype(np.int32),
        mask=np.ones(ROWS, np.float32),
        row=np.arange(ROWS, dtype=np.int64),
        ids=[str(row) for row in range(ROWS)],
        bad=[],
        ledger=LedgerDelta(ROWS, {}),
    )


class Training:
    """A small model in training; `tower` are the keys of its section."""

    def __init__(self, *, replicas=1, optimizer=None, clip_norm=None, averages=None, **tower):
        section = {"weights": "w", "freeze": False, "learning_rate_scale": 1.0, "layer_decay": 1.0, **tower}
        spec = SimpleNamespace(image=SimpleNamespace(**section))
        strategy = strategy_over(replicas)
        with strategy.scope():
            inputs = {
                "image": keras.Input((SIDE, SIDE, 3), name="image"),
                "image_present": keras.Input((), dtype="bool", name="image_present"),
            }
            task = ClassificationTask(
                ClassificationSpec(), regularization=RegularizationSpec(l2=0.01), classes=CLASSES, seed=0
            )
            pooled = Tower()(inputs["image"], inputs["image_present"]).pooled
            self.model = keras.Model(inputs, task.outputs(task.make_head("head")(pooled)))
            self.optimizer = optimizer() if optimizer is not None else keras.optimizers.SGD(RATE)
            self.optimizer.build(self.model.trainable_variables)
        self.averages = Averages(strategy, self.model.trainable_variables, averages)
        self.tuning = Tuning(self.model, spec, steps_per_epoch=STEPS)
        variables = [*self.model.variables, *self.optimizer.variables, *self.averages.variables]
        self.steps = Steps(
            self.model, task, self.optimizer, strategy,
            augmentations=(), seed=0, local_replicas=replicas, worker=0,
            clipping=Clipping(clip_norm), averages=self.averages, tuning=self.tuning, undo=Undo(strategy, variables),
        )  # fmt: skip

    def train(self, *epochs, batch=None):
        for epoch in epochs:
            for step in range(STEPS):
                given = batch_of(epoch * STEPS + step) if batch is None else batch
                sums = self.steps.sums(self.steps.train(given, epoch=epoch))
        return sums

    def weights(self):
        values = zip(self.model.weights, read_variables(self.model.weights), strict=True)
        return {weight.path.removeprefix("image_tower/"): value for weight, value in values}


def changed(before, after):
    return {name for name in before if (before[name] != after[name]).any()}


OWN = {"top/kernel", "top/bias", "head/logits/kernel", "head/logits/bias"}
LOW = {f"low/{name}" for name in ("kernel", "bias")} | {"norm/gamma", "norm/beta"}
HIGH = {"high/kernel", "high/bias"}
STATISTICS = {"norm/moving_mean", "norm/moving_variance"}


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("held", [{}, {"clip_norm": 0.1, "averages": AveragesSpec(decay=0.5)}], ids=["plain", "held"])
def test_frozen_weights_stay_to_the_bit_and_thaw_after_their_epochs(replicas, held):
    decaying = lambda: keras.optimizers.AdamW(0.01, weight_decay=0.5)  # noqa: E731
    training = Training(replicas=replicas, optimizer=decaying, freeze=2, **held)
    before, slots = training.weights(), len(training.optimizer.variables)
    sums = training.train(0, 1)
    frozen = training.weights()
    assert changed(before, frozen) == OWN
    assert (sums.broken, sums.where_broken) == (0, "")
    training.train(2)
    assert changed(frozen, training.weights()) == OWN | LOW | HIGH | STATISTICS
    assert len(training.optimizer.variables) == slots, "checkpoints have one shape"


def test_frozen_for_good_and_one_that_is_not():
    training = Training(freeze=True)
    before = training.weights()
    training.train(0, 7)
    assert changed(before, training.weights()) == OWN
    assert training.tuning.frozen_in(100) == ("image_tower",)
    assert Training(freeze=False).tuning.frozen_in(0) == ()
    assert Training(weights=None, freeze=True).tuning.frozen_in(0) == (), "what starts at random is never frozen"


def test_resumed_in_any_epoch_it_goes_on_as_if_left_alone():
    alone, first, second = (Training(freeze=1, optimizer=keras.optimizers.Adam) for _ in range(3))
    alone.train(0, 1, 2)
    first.train(0, 1)
    for old, new in ((first.model, second.model), (first.optimizer, second.optimizer)):
        for source, variable in zip(old.variables, new.variables, strict=True):
            variable.assign(source.numpy())
    second.train(2)
    assert changed(alone.weights(), second.weights()) == set()


def test_each_stage_has_its_share_of_the_rate():
    plain, own = Training(), Training(learning_rate_scale=0.5, layer_decay=0.25)
    before = plain.weights()
    for training in (plain, own):
        training.steps.train(batch_of(0), epoch=0)
    shares = {**dict.fromkeys(LOW, 0.125), **dict.fromkeys(HIGH, 0.5), **dict.fromkeys(OWN, 1.0)}
    moved = {name: (plain.weights()[name] - before[name], own.weights()[name] - before[name]) for name in shares}
    for name, share in shares.items():
        np.testing.assert_allclose(moved[name][1], share * moved[name][0], atol=2e-7, err_msg=name)
        assert np.abs(moved[name][0]).max() > 1e-6 or name == "low/bias", name  # normalization takes that bias off


def test_a_tower_from_nothing_learns_at_its_rate_as_a_whole():
    plain, own = Training(weights=None), Training(weights=None, learning_rate_scale=0.5)
    before = plain.weights()
    for training in (plain, own):
        training.steps.train(batch_of(0), epoch=0)
    for name, share in (("low/kernel", 0.5), ("high/kernel", 0.5), ("top/kernel", 0.5), ("head/logits/kernel", 1.0)):
        expected, received = (training.weights()[name] - before[name] for training in (plain, own))
        np.testing.assert_allclose(received, share * expected, atol=2e-7, err_msg=name)
        assert np.abs(expected).max() > 1e-6


@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.Lion, keras.optimizers.Lamb])
def test_the_rate_is_scaled_rather_than_the_gradient_which_adam_divides_away(optimizer):
    plain, own = Training(optimizer=optimizer), Training(optimizer=optimizer, learning_rate_scale=0.125)
    before = plain.weights()
    for training in (plain, own):
        training.steps.train(batch_of(0), epoch=0)
    expected, received = (training.weights()["high/kernel"] - before["high/kernel"] for training in (plain, own))
    np.testing.assert_allclose(received, 0.125 * expected, atol=1e-7)


def test_decay_takes_the_same_share():
    decaying = lambda: keras.optimizers.SGD(RATE, weight_decay=0.5)  # noqa: E731
    training = Training(optimizer=decaying, learning_rate_scale=0.5)
    before = training.weights()
    training.train(0, batch=replace(batch_of(0), mask=np.zeros(ROWS, np.float32)))
    for name, share in (("high/kernel", 0.5), ("top/kernel", 1.0)):
        kept = (1 - share * RATE * 0.5) ** STEPS
        np.testing.assert_allclose(training.weights()[name], before[name] * kept, rtol=1e-6)


def test_a_thawed_weight_takes_first_steps_of_the_size_of_any_first_step():
    # Adam's first step is the rate, whatever the gradient; late in a run it would be three times as long.
    training = Training(freeze=5, optimizer=lambda: keras.optimizers.Adam(0.01, epsilon=1e-12))
    training.train(*range(5))
    before = training.weights()["high/kernel"]
    training.steps.train(batch_of(99), epoch=5)
    np.testing.assert_allclose(np.abs(training.weights()["high/kernel"] - before), 0.01, rtol=1e-3)


def test_a_step_that_diverges_is_undone_while_frozen():
    training = Training(freeze=True)
    before = training.weights()
    sums = training.train(0, batch=replace(batch_of(0), mask=np.full(ROWS, np.inf, np.float32)))
    assert sums.broken == 1
    assert changed(before, training.weights()) == set()
