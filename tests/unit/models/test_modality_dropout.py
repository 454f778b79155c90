import numpy as np
import pytest
import tensorflow as tf

from mmdist.models.modality_dropout import ModalityDropout

ROWS = 4000


def shown(rates, present, *, replicas=1):
    strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])
    with strategy.scope():
        layer = ModalityDropout(rates, seed=1)
    part = len(next(iter(present.values()))) // replicas

    def values(context):
        start = context.replica_id_in_sync_group * part
        return {name: tf.constant(each[start : start + part]) for name, each in present.items()}

    inputs = strategy.experimental_distribute_values_from_function(values)
    run = tf.function(lambda given: strategy.run(lambda own: layer(own, training=True), args=(given,)))
    found = run(inputs)
    return {
        name: np.concatenate([each.numpy() for each in strategy.experimental_local_results(value)])
        for name, value in found.items()
    }


def rows(*present):
    names = ("image", "text", "audio")
    return {name: np.full(ROWS, here) for name, here in zip(names, present, strict=False)}


def test_each_modality_is_hidden_at_its_rate_and_the_last_never():
    found = shown({"image": 0.2, "text": 0.4}, rows(True, True))
    # Both would be hidden in 8 of 100 rows: two thirds of them keep the picture, which is hidden more seldom.
    hidden = {name: float(np.mean(~each)) for name, each in found.items()}
    assert np.all(found["image"] | found["text"])
    assert hidden["image"] == pytest.approx(0.2 * 0.6 + 0.02, abs=0.02)
    assert hidden["text"] == pytest.approx(0.4 * 0.8 + 0.06, abs=0.02)


def test_what_is_absent_stays_absent_and_what_is_alone_stays():
    found = shown({"image": 0.9, "text": 0.9, "audio": 0.9}, rows(False, True, False))
    assert not found["image"].any()
    assert found["text"].all()
    assert not found["audio"].any()


def test_a_rate_of_nought_hides_nothing():
    found = shown({"image": 0.0, "text": 0.5}, rows(True, True))
    assert found["image"].all()
    assert 0.45 < np.mean(found["text"]) < 0.55


def test_it_is_the_same_however_many_replicas_share_the_batch():
    one, two = (shown({"image": 0.5, "text": 0.5}, rows(True, True), replicas=number) for number in (1, 2))
    for name, expected in one.items():
        np.testing.assert_array_equal(expected, two[name])
