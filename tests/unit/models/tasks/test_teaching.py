"""Losses that are taught, against their definitions and Keras's own; what is reported stays a plain cross-entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.models.facts import DataFacts
from mmdist.models.tasks import build_task
from mmdist.models.tasks.teaching import sigmoid_losses, softmax_losses
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import ClassificationSpec, MultilabelSpec

LOGITS = np.random.default_rng(0).normal(size=(6, 4), scale=2).astype(np.float32)
LABEL = np.array([0, 1, 2, 3, 0, 1], np.int32)
MARKS = np.random.default_rng(1).integers(0, 2, (6, 4)).astype(np.float32)


def make(spec, **facts):
    facts = DataFacts(labels=tuple("abcd"), **facts)
    return build_task(spec, facts, regularization=RegularizationSpec(), seed=0)


def taught(task, label):
    outputs, inputs = {"logits": LOGITS}, {"label": label}
    losses = task.row_losses(outputs, inputs)
    return np.asarray(losses), np.asarray(task.taught_losses(losses, outputs, inputs))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_one_label_is_smoothed_and_focal(smoothing, gamma):
    found = softmax_losses(LOGITS, LABEL, smoothing=smoothing, gamma=gamma)
    p = np.exp(LOGITS.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    share = np.eye(4)[LABEL] * (1 - smoothing) + smoothing / 4
    np.testing.assert_allclose(found, (share * (1 - p) ** gamma * -np.log(p)).sum(axis=1), rtol=1e-5)
    keras_loss = keras.losses.CategoricalFocalCrossentropy(
        1.0, gamma, from_logits=True, label_smoothing=smoothing, reduction=None
    )
    np.testing.assert_allclose(found, keras_loss(np.eye(4, dtype=np.float32)[LABEL], LOGITS), rtol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_several_labels_are_smoothed_focal_and_weighted(smoothing, gamma):
    weights = np.array([1, 2, 0.5, 1], np.float32)
    found = sigmoid_losses(LOGITS, MARKS, smoothing=smoothing, gamma=gamma, positive_weights_C=weights)
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    share = MARKS * (1 - smoothing) + smoothing / 2
    has, lacks = share * (1 - p) ** gamma * -np.log(p), (1 - share) * p**gamma * -np.log(1 - p)
    np.testing.assert_allclose(found, (weights * has + lacks).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_slope_of_a_focal_loss_is_a_number_where_a_row_is_learned(gamma):
    logits = tf.Variable([[100.0, -100.0], [-100.0, 100.0], [17.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(softmax_losses(logits, np.array([0, 0, 0]), smoothing=0.0, gamma=gamma))
    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_weights_go_by_the_label_and_what_is_reported_stays_plain():
    plain, same = taught(make(ClassificationSpec()), LABEL)
    assert np.array_equal(plain, same)
    reported, weighted = taught(make(ClassificationSpec(), label_weights=(1.0, 3.0, 0.5, 2.0)), LABEL)
    np.testing.assert_array_equal(reported, plain)
    np.testing.assert_allclose(weighted, plain * np.array([1, 3, 0.5, 2, 1, 3]), rtol=1e-6)
    spec = ClassificationSpec(label_smoothing=0.2, focal_gamma=1.0)
    reported, both = taught(make(spec, label_weights=(1.0, 3.0, 0.5, 2.0)), LABEL)
    np.testing.assert_array_equal(reported, plain)
    expected = softmax_losses(LOGITS, LABEL, smoothing=0.2, gamma=1.0) * np.array([1, 3, 0.5, 2, 1, 3], np.float32)
    np.testing.assert_allclose(both, expected, rtol=1e-6)


def test_of_several_labels_too_what_is_reported_stays_plain():
    plain, same = taught(make(MultilabelSpec()), MARKS)
    assert np.array_equal(plain, same)
    for spec, facts in ((MultilabelSpec(focal_gamma=2.0), {}), (MultilabelSpec(), {"label_weights": (1.0, 3.0, 1, 1)})):
        reported, other = taught(make(spec, **facts), MARKS)
        np.testing.assert_array_equal(reported, plain)
        assert not np.allclose(other, plain)
