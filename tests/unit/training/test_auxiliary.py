"""Losses beside the task's: what they are, that replicas share them, and which rows count in them."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_step import make, make_batch, strategy_over

from mmdist.models.auxiliary import auxiliary_losses
from mmdist.spec.augment import CutmixSpec
from mmdist.spec.model import (
    AlignmentSpec,
    AuxiliarySpec,
    BiLSTMSpec,
    CNNSpec,
    LateSpec,
    ModelSpec,
    RegularizationSpec,
)
from mmdist.training.step import Steps

SMALL = ModelSpec(
    image=CNNSpec(filters=(4, 8), units=8),
    text=BiLSTMSpec(embedding=6, lstm_units=4, units=6),
    regularization=RegularizationSpec(dropout=0.3),
    modality_dropout=0.3,
)
CUTMIX = (CutmixSpec(),)
BOTH = AuxiliarySpec(per_modality=0.5, alignment=AlignmentSpec(weight=2.0, temperature=0.5, width=5))


def trained(batches, *, replicas=1, auxiliary=BOTH, rate=0.1, augmentations=(), **changes):
    strategy = strategy_over(replicas)
    with strategy.scope():
        model, task = make(SMALL.model_copy(update={"auxiliary": auxiliary, **changes}))
        optimizer = keras.optimizers.SGD(rate)
        optimizer.build(model.trainable_variables)
    steps = Steps(
        model,
        task,
        optimizer,
        strategy,
        augmentations=augmentations,
        seed=0,
        local_replicas=replicas,
        worker=0,
        auxiliary=auxiliary,
    )
    sums = [steps.sums(steps.train(batch, epoch=0)) for batch in batches]
    return {weight.path: weight.numpy() for weight in model.trainable_weights}, sums


def test_two_replicas_train_like_one_and_more_than_the_task():
    batches = [make_batch(64, real=64), make_batch(64, real=40, seed=1), make_batch(64, real=20, seed=2)]
    (one, one_sums), (two, two_sums) = (trained(batches, replicas=n) for n in (1, 2))
    for expected, received in zip(one.values(), two.values(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)
    for expected, received in zip(one_sums, two_sums, strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
        assert (received.counts, received.rows) == (expected.counts, expected.rows)
    plain, plain_sums = trained(batches, auxiliary=AuxiliarySpec())
    assert one_sums[0].loss_sum == pytest.approx(plain_sums[0].loss_sum, rel=1e-6), "the loss told is the task's"
    shared = [path for path in plain if not np.allclose(plain[path], one[path], atol=1e-4)]
    assert {path.split("/")[0] for path in shared} >= {"image_tower", "text_tower"}


def test_padding_changes_nothing():
    short = make_batch(8, real=8)
    padded = make_batch(16, real=8, seed=9)
    for name in ("image", "image_present", "text", "text_present", "label"):
        getattr(padded, name)[:8] = getattr(short, name)
    (one, _), (two, _) = (trained([batch]) for batch in (short, padded))
    for expected, received in zip(one.values(), two.values(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)


def test_alignment_is_info_nce_among_the_rows_that_count_and_have_both():
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(6, 4)).astype(np.float32) for _ in "ab"]
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in vectors)
    image, text, mask = np.ones(6, np.float32), np.ones(6, np.float32), np.ones(6, np.float32)
    image[1] = text[2] = mask[4] = 0.0
    outputs = {"image/aligned": one, "text/aligned": other, "image/present": image, "text/present": text}
    spec = AuxiliarySpec(alignment=AlignmentSpec(weight=2.0, temperature=0.5, width=4))
    tensors = {name: tf.constant(value) for name, value in outputs.items()}
    found = auxiliary_losses(spec, tensors, {"mask": tf.constant(mask)}, lambda *_: pytest.fail("no head asked for"))
    kept = [0, 3, 5]
    cosines = one[kept] @ other[kept].T / 0.5
    rows = np.log(np.exp(cosines).sum(axis=1)) - np.diag(cosines)
    columns = np.log(np.exp(cosines).sum(axis=0)) - np.diag(cosines)
    expected = np.zeros(6)
    expected[kept] = 2.0 * (rows + columns) / 2
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_modality_that_a_row_lacks_has_no_loss():
    outputs = {
        "image/logits": tf.constant([[1.0], [2.0]]),
        "text/logits": tf.constant([[10.0], [20.0]]),
        "image/present": tf.constant([1.0, 1.0]),
        "text/present": tf.constant([0.0, 1.0]),
    }
    found = auxiliary_losses(
        AuxiliarySpec(per_modality=0.5), outputs, {"mask": tf.ones([2])}, lambda _, alone: alone["logits"][:, 0]
    )
    np.testing.assert_allclose(found, [0.5, 11.0])


def test_late_fusion_and_the_losses_share_a_head_per_modality():
    weights, _ = trained([make_batch(16, real=16)], auxiliary=AuxiliarySpec(per_modality=0.5), fusion=LateSpec())
    heads = [path for path in weights if "head" in path]
    assert sorted({path.split("/")[0] for path in heads}) == ["image_head", "text_head"]


def test_only_what_shows_a_mixed_picture_is_taught_its_partners_label():
    batch = make_batch(16, real=16)
    batch = replace(batch, image_present=np.ones(16, np.bool_), text_present=np.ones(16, np.bool_))
    heads = {"auxiliary": AuxiliarySpec(per_modality=0.5), "modality_dropout": 0.0}
    (plain, _), (mixed, _) = (
        trained([batch], augmentations=ways, regularization=RegularizationSpec(), **heads) for ways in ((), CUTMIX)
    )
    changed = {path.split("/")[0] for path in plain if not np.array_equal(plain[path], mixed[path])}
    assert "text_head" in {path.split("/")[0] for path in plain}
    assert {"head", "image_head"} <= changed
    assert "text_head" not in changed, "after one step from the same weights"


def test_modality_dropout_hides_in_training_alone():
    batch = make_batch(16, real=16)
    batch = replace(batch, image_present=np.ones(16, np.bool_), text_present=np.ones(16, np.bool_))
    rates = {"auxiliary": AuxiliarySpec(), "rate": 0.0}
    (_, [hidden]), (_, [shown]) = (trained([batch], modality_dropout=share, **rates) for share in (0.9, 0.0))
    assert hidden.loss_sum != pytest.approx(shown.loss_sum, rel=1e-4)
    model, _ = make(SMALL.model_copy(update={"modality_dropout": 0.9}))
    plain, _ = make(SMALL.model_copy(update={"modality_dropout": 0.0}))
    assert len(model.variables) == len(plain.variables) + 1, "a checkpoint holds the state of what is drawn"
    arrays = {name: tf.constant(value) for name, value in batch.inputs().items()}
    arrays["image"] = tf.cast(arrays["image"], tf.float32) / 255.0
    np.testing.assert_array_equal(model(arrays)["logits"], plain(arrays)["logits"])
