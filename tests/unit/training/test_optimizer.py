"""Each optimizer lowers a loss as its spec says; schedules, and what does not decay."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from mmdist.spec.optimizer import OptimizerSpec
from mmdist.spec.train import TrainSpec
from mmdist.training.optimizer import build_optimizer, learning_rate

ROWS, BATCH = 95, 10  # ten steps an epoch, the last one short


def train_spec(optimizer, epochs=4):
    spec = TypeAdapter(OptimizerSpec).validate_python(optimizer)
    return TrainSpec(epochs=epochs, global_batch_size=BATCH, optimizer=spec)


def rates(optimizer, epochs=4):
    rate = learning_rate(train_spec(optimizer, epochs), rows=ROWS)
    return [float(rate(step)) for step in range(10 * epochs)]


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "lamb", "lion"])
def test_each_kind_lowers_a_loss(kind):
    weight = keras.Variable(np.full((3, 2), 2.0, np.float32))
    optimizer = build_optimizer(train_spec({"type": kind}), [weight], rows=ROWS)
    losses = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(weight.value))
        optimizer.apply([tape.gradient(loss, weight.value)], [weight])
        losses.append(float(loss))
    assert all(later < earlier for earlier, later in pairwise(losses))


@pytest.mark.parametrize("kind", ["adamw", "sgd", "lamb", "lion"])
def test_kernels_decay_and_biases_do_not(kind):
    kernel, bias = (keras.Variable(np.ones(shape, np.float32)) for shape in ((2, 2), (2,)))
    spec = train_spec({"type": kind, "learning_rate": 0.1, "weight_decay": 0.5})
    optimizer = build_optimizer(spec, [kernel, bias], rows=ROWS)
    optimizer.apply([tf.zeros((2, 2)), tf.zeros(2)], [kernel, bias])
    np.testing.assert_array_equal(bias.numpy(), 1.0)
    np.testing.assert_allclose(kernel.numpy(), 0.95, rtol=1e-6)


def test_without_a_schedule_the_rate_stays():
    assert learning_rate(train_spec({"type": "adam", "learning_rate": 0.25}), rows=ROWS) == 0.25


def test_a_cosine_rises_in_a_line_and_falls_to_its_end():
    schedule = {"type": "cosine", "warmup_epochs": 1, "final_share": 0.1}
    found = rates({"type": "adam", "learning_rate": 1.0, "schedule": schedule})
    np.testing.assert_allclose(np.diff(found[:11]), (1 - 1 / 11) / 10, rtol=1e-5)
    assert found[0] == pytest.approx(1 / 11)
    assert found[10] == pytest.approx(1.0)
    progress = (np.arange(10, 40) - 10) / 30
    np.testing.assert_allclose(found[10:], 0.1 + 0.9 * (1 + np.cos(np.pi * progress)) / 2, rtol=1e-5)


def test_a_cosine_without_warm_up_begins_at_the_top():
    found = rates({"type": "adam", "learning_rate": 0.5, "schedule": {"type": "cosine"}})
    assert found[0] == 0.5
    assert 0 < found[-1] < 0.002


def test_steps_come_after_whole_epochs():
    found = rates({"type": "sgd", "learning_rate": 1.0, "schedule": {"type": "step", "every_epochs": 2, "factor": 0.5}})
    np.testing.assert_allclose(found, [1.0] * 20 + [0.5] * 20)
