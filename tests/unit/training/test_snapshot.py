"""A snapshot is of its moment, bit for bit, whatever trains on meanwhile; its file is what safetensors reads."""

import ml_dtypes
import numpy as np
import pytest
from test_step import strategy_over

from mmdist.models.arrays import pack_arrays, unpack_arrays
from mmdist.training.snapshot import Portions, arrays_file, take_snapshot

WORDS, WIDTH = 50, 8


def small_model():
    import keras

    ids = keras.Input((4,), dtype="int32")
    hidden = keras.layers.Flatten()(keras.layers.Embedding(WORDS, WIDTH)(ids))
    hidden = keras.layers.Dropout(0.5, seed=1)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(ids, keras.layers.Dense(1)(hidden)), keras.optimizers.Adam(0.1, ema_momentum=0.9, use_ema=True)


@pytest.mark.parametrize("replicas", [1, 2])
def test_steps_after_a_snapshot_do_not_change_it(replicas):
    import tensorflow as tf

    strategy = strategy_over(replicas) if replicas > 1 else tf.distribute.get_strategy()
    with strategy.scope():
        model, optimizer = small_model()
        optimizer.build(model.trainable_variables)

    @tf.function
    def step(ids):
        def one(ids):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(model(ids, training=True)))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

        strategy.run(one, (ids,))

    ids = tf.constant(np.arange(32).reshape(8, 4) % WORDS, tf.int32)
    step(ids)
    variables = [*model.variables, *optimizer.variables]
    expected = [np.array(variable.numpy()) for variable in variables]
    snapshot = take_snapshot(variables)
    for _ in range(3):
        step(ids)
    variables[0].assign(np.zeros(variables[0].shape, np.float32))
    changed = 0
    for variable, kept, value in zip(variables, snapshot, expected, strict=True):
        assert (kept.shape, kept.dtype) == (value.shape, value.dtype)
        assert kept.tobytes() == value.tobytes()
        changed += kept.tobytes() != np.array(variable.numpy()).tobytes()
    assert changed > len(variables) - 3


def test_nothing_is_copied_on_a_cpu():
    import keras

    variable = keras.Variable(np.ones((1000, 10), np.float32))
    one, two = take_snapshot([variable, variable])
    assert np.shares_memory(one, two)
    variable.assign_add(np.ones((1000, 10), np.float32))
    assert one.max() == 1.0
    assert not np.shares_memory(one, take_snapshot([variable])[0])


def test_a_type_without_a_buffer_is_copied():
    import keras

    variable = keras.Variable(np.ones(3), dtype="bfloat16")
    [value] = take_snapshot([variable])
    assert value.dtype == ml_dtypes.bfloat16
    assert value.astype(float).tolist() == [1.0, 1.0, 1.0]


def test_what_is_no_tensorflow_variable_is_copied():
    class Plain:
        held = np.zeros(3)

        def numpy(self):
            return self.held

    [value] = take_snapshot([Plain()])
    Plain.held += 1
    assert value.tolist() == [0.0, 0.0, 0.0]


def test_the_file_is_what_safetensors_writes_and_reads():
    draw = np.random.default_rng(0)
    types = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    arrays = [(draw.normal(size=(3, 5)) * 50).astype(name) for name in types]
    arrays += [np.array([True, False, True]), np.float32(7.0).reshape(()), np.zeros((0, 4), np.float32)]
    arrays += [np.asfortranarray(draw.normal(size=(4, 3)))]
    again = unpack_arrays(b"".join(arrays_file(arrays)), file="x")
    reference = unpack_arrays(pack_arrays(arrays), file="x")
    assert len(again) == len(reference) == len(arrays)
    for ours, theirs, array in zip(again, reference, arrays, strict=True):
        assert ours.shape == theirs.shape == array.shape
        assert ours.dtype == theirs.dtype == array.dtype
        assert ours.tobytes() == theirs.tobytes() == array.tobytes()
    assert unpack_arrays(b"".join(arrays_file([])), file="x") == []


def test_portions_are_the_pieces_and_tell_of_each_that_was_taken():
    told = []
    pieces = [b"header", np.arange(40 * 2**20, dtype=np.uint8).data, b""]
    portions = Portions(pieces, lambda: told.append(1))
    assert max(portion.nbytes for portion in portions) <= 16 * 2**20
    assert len(told) == len(portions) == 4
    assert b"".join(portions) == b"".join(pieces)
    assert len(told) == 8, "each time that they are gone through"
