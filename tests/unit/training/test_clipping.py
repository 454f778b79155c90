"""Adaptive clipping: the gradient of a unit is short beside its weights. (`clip_norm`: see test_arrangements.)"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.training.clipping import Clipping

SHARE = 0.01


def clipped(weight, gradient, **how):
    with keras.name_scope(how.pop("part", "image_tower")):
        variable = keras.Variable(weight.astype(np.float32), name="kernel")
    strategy = tf.distribute.get_strategy()
    [found] = strategy.run(lambda: Clipping(**how).clip([tf.constant(gradient, tf.float32)], [variable]))
    return found.numpy()


@pytest.mark.parametrize("shape", [(7, 5), (3, 3, 2, 5)], ids=["dense", "convolution"])
def test_a_units_gradient_is_at_most_a_share_of_its_weights(shape):
    rng = np.random.default_rng(0)
    weight, gradient = rng.normal(size=shape), rng.normal(size=shape)
    gradient[..., 1] *= 1e-4  # short enough: left as it is
    gradient[..., 2] = 0.0
    weight[..., 3] = 0.0
    found = clipped(weight, gradient, adaptive=SHARE)
    axes = tuple(range(len(shape) - 1))
    lengths = np.sqrt(np.square(found).sum(axes))
    most = SHARE * np.maximum(np.sqrt(np.square(weight).sum(axes)), 1e-3)
    np.testing.assert_allclose(lengths[[0, 3, 4]], most[[0, 3, 4]], rtol=1e-5)
    np.testing.assert_allclose(found[..., 1], gradient[..., 1], rtol=1e-6)
    assert (found[..., 2] == 0).all()
    along = (found * gradient).sum(axes)[[0, 4]] / lengths[[0, 4]] / np.sqrt(np.square(gradient).sum(axes))[[0, 4]]
    np.testing.assert_allclose(along, 1.0, rtol=1e-5)


def test_a_vector_is_one_unit_and_heads_are_left_alone():
    weight, gradient = np.array([3.0, 4.0]), np.array([0.0, 10.0])
    np.testing.assert_allclose(clipped(weight, gradient, adaptive=SHARE), [0.0, 0.05], rtol=1e-6)
    for head in ("head", "image_head"):
        np.testing.assert_array_equal(clipped(weight, gradient, adaptive=SHARE, part=head), gradient)


def test_the_norm_of_all_comes_after():
    weight, gradient = np.array([3.0, 4.0]), np.array([0.0, 10.0])
    found = clipped(weight, gradient, adaptive=SHARE, norm=0.01)
    np.testing.assert_allclose(found, [0.0, 0.01], rtol=1e-6)
