"""Losses, metrics and answers of tasks beyond one label, against their definitions."""

import keras
import numpy as np
import pytest

from mmdist.models.facts import DataFacts
from mmdist.models.tasks import build_task
from mmdist.spec.model import RegularizationSpec
from mmdist.spec.task import MultilabelSpec, OrdinalSpec, RegressionSpec


def make(spec, **facts):
    return build_task(spec, DataFacts(**facts), regularization=RegularizationSpec(), seed=0)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_multilabel():
    task = make(MultilabelSpec(threshold=0.5), labels=("a", "b", "c"))
    logits = np.array([[2.0, -1.0, 3.0], [-2.0, -2.0, -2.0], [1.0, 1.0, -1.0]], np.float32)
    label = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], np.float32)
    outputs, inputs = {"logits": logits}, {"label": label}
    expected = -(label * np.log(sigmoid(logits)) + (1 - label) * np.log(1 - sigmoid(logits))).mean(axis=1)
    np.testing.assert_allclose(task.row_losses(outputs, inputs), expected, rtol=1e-5)
    jaccard, exact = task.row_metrics(outputs, inputs)
    np.testing.assert_allclose(jaccard, [1, 1, 1 / 3], rtol=1e-6)
    np.testing.assert_array_equal(exact, [1, 1, 0])
    np.testing.assert_allclose(task.answers(outputs)["probabilities"], sigmoid(logits), rtol=1e-5)


def test_ordinal():
    task = make(OrdinalSpec(labels=("low", "middle", "high")))
    outputs = {"logits": np.array([[3.0, 1.0], [1.0, -2.0], [-1.0, -4.0]], np.float32)}
    above = sigmoid(outputs["logits"])
    probabilities = np.stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]], axis=1)
    np.testing.assert_allclose(task.answers(outputs)["probabilities"], probabilities, rtol=1e-4)
    inputs = {"label": np.array([2, 0, 2], np.int32)}
    losses = -np.log(probabilities[np.arange(3), inputs["label"]])
    np.testing.assert_allclose(task.row_losses(outputs, inputs), losses, rtol=1e-4)
    accuracy, away = task.row_metrics(outputs, inputs)
    np.testing.assert_array_equal(accuracy, [1, 0, 0])
    np.testing.assert_array_equal(away, [0, 1, 2])


def test_the_thresholds_of_an_ordinal_head_stay_in_order():
    head = make(OrdinalSpec(labels=tuple("abcde"))).make_head("head")
    fused = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    head(fused)
    for weight in head.trainable_weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape, scale=5))
    logits = np.asarray(head(fused))
    assert logits.shape == (6, 4)
    assert np.all(np.diff(logits, axis=1) < 0)


@pytest.mark.parametrize(
    ("loss", "of"),
    [
        ("squared", np.square),
        ("absolute", np.abs),
        ("huber", lambda error: np.where(np.abs(error) <= 1, 0.5 * error**2, np.abs(error) - 0.5)),
    ],
)
def test_regression_is_trained_in_deviations_and_answers_in_the_labels_unit(loss, of):
    task = make(RegressionSpec(loss=loss), target=(100.0, 20.0))
    outputs = {"scaled": np.array([[0.5], [-2.0], [0.0]], np.float32)}
    inputs = {"label": np.array([110.0, 120.0, 95.0], np.float32)}
    np.testing.assert_allclose(task.answers(outputs)["value"], [110.0, 60.0, 100.0])
    np.testing.assert_allclose(task.row_losses(outputs, inputs), of(np.array([0.0, -3.0, 0.25])), atol=1e-6)
    [away] = task.row_metrics(outputs, inputs)
    np.testing.assert_allclose(away, [0.0, 60.0, 5.0], atol=1e-5)


def test_heads_of_two_names_start_differently():
    task = make(RegressionSpec())
    fused = keras.ops.ones((1, 4))
    assert float(task.make_head("head")(fused)[0, 0]) != float(task.make_head("other")(fused)[0, 0])
