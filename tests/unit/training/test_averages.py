"""Averages follow the weights, stand in for them while they are looked at, and become the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.spec.train import AveragesSpec
from mmdist.training.averages import Averages


@pytest.fixture(params=[1, 2], ids=["one replica", "two replicas"])
def strategy(request):
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(request.param)])


def made(strategy, spec):
    with strategy.scope():
        weight = keras.Variable(np.array([1.0, -2.0], np.float32), name="weight")
    return weight, Averages(strategy, [weight], spec)


def copies(strategy, variable):
    return [copy.numpy() for copy in strategy.experimental_local_results(variable.value)]


def test_they_follow_as_the_formula_says(strategy):
    weight, averages = made(strategy, AveragesSpec(decay=0.3))
    expected = weight.numpy().astype(np.float64)
    for step in range(1, 6):
        weight.assign([float(step), 0.0])
        tf.function(averages.follow)(tf.constant(step))
        keep = min(0.3, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * np.array([step, 0.0])
    for copy in copies(strategy, averages.variables[0]):
        np.testing.assert_allclose(copy, expected, rtol=1e-5)


def test_they_stand_in_and_give_the_weights_back_to_the_bit(strategy):
    weight, averages = made(strategy, AveragesSpec())
    weight.assign([5.0, 0.1])
    with averages.in_use():
        assert all((copy == [1.0, -2.0]).all() for copy in copies(strategy, weight))
    assert all((copy == np.array([5.0, 0.1], np.float32)).all() for copy in copies(strategy, weight))
    with averages.in_use():
        averages.put_back()  # as a stop does, which saves a checkpoint in the midst of validating
        assert all((copy == np.array([5.0, 0.1], np.float32)).all() for copy in copies(strategy, weight))
    assert all((copy == [1.0, -2.0]).all() for copy in copies(strategy, averages.variables[0]))


def test_they_become_the_weights(strategy):
    weight, averages = made(strategy, AveragesSpec())
    weight.assign([5.0, 0.1])
    averages.take_over()
    assert all((copy == [1.0, -2.0]).all() for copy in copies(strategy, weight))


def test_without_a_spec_nothing_happens(strategy):
    weight, averages = made(strategy, None)
    averages.follow(tf.constant(1))
    with averages.in_use():
        averages.take_over()
        assert averages.variables == []
        assert weight.numpy().tolist() == [1.0, -2.0]
