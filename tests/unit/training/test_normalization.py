"""Batch normalization over the rows that count, of all replicas."""

import numpy as np
import tensorflow as tf
from strategies import strategy_over

from mmdist.models.normalization import BatchNorm

ROWS, CHANNELS = 8, 3
FEATURES = np.random.default_rng(0).normal(3.0, 2.0, (ROWS, 2, 2, CHANNELS)).astype(np.float32)
PRESENT = np.array([True, True, False, True, False, True, True, True])


def outputs_and_statistics(replicas):
    """In training: the features normalized, in the order of rows, and the running statistics of each replica."""
    strategy, share = strategy_over(replicas), ROWS // replicas
    with strategy.scope():
        layer = BatchNorm(name="norm")
        layer.build(FEATURES.shape, PRESENT.shape)

    def part(context):
        own = slice(context.replica_id_in_sync_group * share, (context.replica_id_in_sync_group + 1) * share)
        return FEATURES[own], PRESENT[own]

    given = strategy.experimental_distribute_values_from_function(part)
    found = strategy.run(lambda both: layer(*both, training=True), args=(given,))
    statistics = [layer.mean_C, layer.variance_C]
    return (
        np.concatenate(strategy.experimental_local_results(found)),
        [[one.numpy() for one in strategy.experimental_local_results(each.value)] for each in statistics],
    )


def test_statistics_are_those_of_the_rows_that_count_on_any_replica():
    counted = FEATURES[PRESENT].reshape(-1, CHANNELS).astype(np.float64)
    mean, variance = counted.mean(axis=0), counted.var(axis=0)
    expected = np.where(PRESENT[:, None, None, None], (FEATURES - mean) / np.sqrt(variance + 1e-5), 0.0)
    for replicas in (1, 2):
        received, [means, variances] = outputs_and_statistics(replicas)
        np.testing.assert_allclose(received, expected, atol=1e-5)
        assert len(means) == replicas
        for one, other in zip(means, variances, strict=True):
            np.testing.assert_allclose(one, 0.1 * mean, rtol=1e-5)
            np.testing.assert_allclose(other, 0.9 + 0.1 * variance, rtol=1e-5)


def test_prediction_takes_the_running_statistics_whatever_rows_there_are():
    layer = BatchNorm(name="norm")
    layer(FEATURES, PRESENT, training=True)
    alone = layer(FEATURES[:1], PRESENT[:1])
    np.testing.assert_allclose(alone, layer(FEATURES, ~PRESENT)[:1], rtol=1e-6)


def test_rows_that_do_not_count_neither_grow_nor_teach_however_many_layers_there_are():
    layers = [BatchNorm(name=f"norm_{number}") for number in range(20)]
    features, nobody = tf.constant(FEATURES), np.zeros(ROWS, np.bool_)
    for layer in layers:
        layer.build(FEATURES.shape, nobody.shape)
    with tf.GradientTape() as tape:
        tape.watch(features)
        values = features
        for layer in layers:
            values = 30.0 * layer(values, nobody, training=True)
    gradients = tape.gradient(values, [features, *(layer.gamma_C for layer in layers)])
    assert all(np.all(np.asarray(each) == 0.0) for each in (values, *gradients))
    assert all(np.all(layer.mean_C == 0.0) and np.all(layer.variance_C == 1.0) for layer in layers)
