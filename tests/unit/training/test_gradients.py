"""Accumulated in parts, one after the other, a step is that of the whole batch; and which rows a part has."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from strategies import strategy_over

from mmdist.models.draws import Dropout
from mmdist.training.gradients import gradients_in_parts


def on_replicas(replicas, compute, rows, parts):
    """What `compute` is given and gives, by part, with the replicas' shares of a batch joined."""
    strategy = strategy_over(replicas)
    share = len(rows) // replicas

    def part_of(context):
        start = context.replica_id_in_sync_group * share
        return tf.constant(rows[start : start + share])

    def run(given):
        found = []

        def keep(part):
            found.append(compute(part["rows"]))
            return [tf.reduce_sum(part["rows"])], tf.reduce_sum(part["rows"])[None]

        gradients_in_parts(keep, {"rows": given}, parts)
        return tf.stack(found)

    with strategy.scope():
        made = tf.function(lambda given: strategy.run(run, args=(given,)))
        values = made(strategy.experimental_distribute_values_from_function(part_of))
    return np.concatenate([each.numpy() for each in strategy.experimental_local_results(values)], axis=1)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_part_is_the_same_rows_on_any_number_of_replicas(replicas):
    found = on_replicas(replicas, lambda rows: rows, np.arange(12, dtype=np.float32), 3)
    assert found.tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_dropout_of_a_part_is_the_same_on_any_number_of_replicas_and_that_of_parts_differs():
    found = []
    for replicas in (1, 2):
        with strategy_over(replicas).scope():
            layer = Dropout(0.5, seed=3, name="drop")
        ones = np.ones((16, 8), np.float32)
        found.append(on_replicas(replicas, lambda rows, layer=layer: layer(rows, training=True), ones, 2))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0][0] != found[0][1]).any()


def test_parts_are_computed_one_after_the_other():
    order = []

    def compute(part):
        seen = tf.py_function(lambda rows: order.append(int(rows[0])) or rows, [part["rows"]], tf.float32)
        return [seen], seen[:1]

    rows = tf.range(8, dtype=tf.float32)
    gradients, numbers = tf.function(lambda: gradients_in_parts(compute, {"rows": rows}, 4))()
    assert order == [0, 1, 2, 3]
    assert gradients[0].numpy().tolist() == [6, 22]
    assert numbers.numpy().tolist() == [6]


def test_gradients_of_embeddings_add_up():
    table = tf.Variable(np.ones((5, 2), np.float32))

    def compute(part):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table, part["tokens"]))
        return [tape.gradient(loss, table)], loss[None]

    tokens = {"tokens": tf.constant([1, 1, 2, 4])}
    (one, _), (two, _) = (gradients_in_parts(compute, tokens, parts) for parts in (1, 2))
    np.testing.assert_array_equal(tf.convert_to_tensor(one[0]), two[0])
    assert keras.ops.convert_to_numpy(two[0])[:, 0].tolist() == [0, 2, 1, 0, 1]
