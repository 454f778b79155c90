"""Half precision: weights and losses stay float32, training agrees with float32, and float16 lives with overflows."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from strategies import strategy_over
from test_step import make, make_batch

from mmdist.models.arrays import read_variables
from mmdist.spec.model import BiLSTMSpec, CNNSpec, ModelSpec
from mmdist.training.precision import LossScale, built_in
from mmdist.training.step import Steps
from mmdist.training.undo import Undo

SPEC = ModelSpec(image=CNNSpec(filters=(4, 8), units=8), text=BiLSTMSpec(embedding=6, lstm_units=4, units=6))
RATE = 0.05
AGREEMENT = {"bfloat16": 0.1, "float16": 0.0125}
"""Of the path that the weights take in three steps, beside float32: a few roundings of 2^-9 and 2^-12."""


class Training:
    def __init__(self, precision, *, replicas=1, jit=False):
        self.strategy = strategy_over(replicas)
        with self.strategy.scope(), built_in(precision):
            self.model, task = make(SPEC)
            optimizer = keras.optimizers.SGD(RATE, momentum=0.9)
            optimizer.build(self.model.trainable_variables)
        self.loss_scale = LossScale(self.strategy, precision)
        undo = Undo(self.strategy, [*self.model.variables, *optimizer.variables]) if precision == "float16" else None
        self.steps = Steps(
            self.model, task, optimizer, self.strategy, augmentations=(), seed=0, local_replicas=replicas, worker=0,
            undo=undo, loss_scale=self.loss_scale, jit=jit,
        )  # fmt: skip

    def train(self, *batches):
        return [self.steps.sums(self.steps.train(batch, epoch=0)) for batch in batches]

    def weights(self):
        return np.concatenate([each.ravel() for each in read_variables(self.model.trainable_variables)])

    def scale(self):
        return [int(each.numpy()) for each in self.loss_scale.variables]


@pytest.fixture(scope="module")
def plain():
    training = Training("float32")
    return training.weights(), training.train(*batches()), training.weights()


def batches():
    return [make_batch(16, real=16), make_batch(16, real=9, seed=1), make_batch(16, real=16, seed=2)]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_like_float32_on_two_replicas(plain, precision):
    start, sums, end = plain
    training = Training(precision, replicas=2)
    assert {str(weight.dtype) for weight in training.model.trainable_variables} == {"float32"}
    assert training.model.get_layer("image_tower").compute_dtype == precision
    assert training.model.get_layer("head").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32", "models that are built later are float32 again"
    for expected, received in zip(sums, training.train(*batches()), strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-2)
        assert (received.rows, received.broken, received.overflowed) == (expected.rows, 0, 0)
    apart, moved = np.linalg.norm(training.weights() - end), np.linalg.norm(end - start)
    assert 0 < apart / moved < AGREEMENT[precision]
    assert training.scale() == ([2**15, 3] if precision == "float16" else [])


def test_an_overflow_is_undone_on_all_replicas_and_halves_the_scale():
    training = Training("float16", replicas=2)
    first, second, third = batches()
    training.train(first)
    before = [each.numpy().copy() for each in training.model.variables]
    # Only the first replica has a row that counts, and so only its gradients overflow.
    training.loss_scale.variables[0].assign(2.0**40)
    [sums] = training.train(replace(second, mask=(np.arange(16) < 3).astype(np.float32)))
    assert (sums.overflowed, sums.broken > 0) == (1, True)
    for variable, value in zip(training.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert training.loss_scale.variables[0].numpy() == 2.0**39
    training.loss_scale.variables[0].assign(2.0**10)
    training.loss_scale.variables[1].assign(1999)
    [sums] = training.train(third)
    assert (sums.overflowed, sums.broken) == (0, 0)
    assert training.scale() == [2**11, 0]


def test_at_a_scale_of_one_what_is_no_number_has_diverged():
    training = Training("float16")
    training.loss_scale.variables[0].assign(1.0)
    [sums] = training.train(replace(make_batch(16, real=16), mask=np.full(16, np.inf, np.float32)))
    assert (sums.overflowed, sums.broken) == (0, 1)


def test_small_gradients_vanish_without_the_scale():
    scale = LossScale(strategy_over(1), "float16")
    small = tf.constant(1e-9, tf.float32)
    assert tf.cast(small, tf.float16).numpy() == 0
    [back] = scale.unscale([tf.cast(tf.cast(scale.scale(small), tf.float16), tf.float32)])
    assert back.numpy() == pytest.approx(1e-9, rel=2e-2)


@pytest.mark.campaign
def test_compiled_by_xla_it_trains_alike(plain):
    _, sums, end = plain
    training = Training("float32", jit=True)
    for expected, received in zip(sums, training.train(*batches()), strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
    np.testing.assert_allclose(training.weights(), end, rtol=0, atol=1e-6)
