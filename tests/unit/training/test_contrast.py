"""The loss of a retrieval against plain NumPy, which rows count in it, and that replicas share its negatives."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_step import SIDE, TOKENS, WORDS, make_batch, strategy_over

from mmdist.errors import JobFileError
from mmdist.models.build import build_model
from mmdist.models.facts import DataFacts
from mmdist.models.tasks import build_task
from mmdist.models.tasks.retrieval import SharedSpace
from mmdist.spec.model import BagSpec, CNNSpec, ModelSpec, RegularizationSpec
from mmdist.spec.task import RetrievalSpec
from mmdist.training.step import Steps

SMALL = ModelSpec(
    image=CNNSpec(filters=(4, 8), units=8),
    text=BagSpec(embedding=6),
    regularization=RegularizationSpec(dropout=0.3, l2=0.01),
)
SPEC = RetrievalSpec(width=5, temperature=0.5)
FACTS = DataFacts((SIDE, SIDE), text_tokens=TOKENS, vocabulary=WORDS)


def make(spec=SPEC):
    task = build_task(spec, FACTS, regularization=SMALL.regularization, seed=0)
    return build_model(SMALL, task, FACTS, seed=0), task


def judged(vectors, *, texts=None, scale=2.0, **missing):
    """Row losses and metrics of given vectors; `missing` names rows without a picture, a text or a mask."""
    rows = len(vectors[0])
    flags = {name: np.ones(rows, np.float32) for name in ("image", "text", "mask")}
    for name, gone in missing.items():
        flags[name][list(gone)] = 0.0
    outputs = {
        "image_embedding": vectors[0],
        "text_embedding": vectors[1],
        "image_present": flags["image"],
        "text_present": flags["text"],
        "scale": np.full(rows, scale, np.float32),
    }
    texts = np.arange(2 * rows).reshape(rows, 2) if texts is None else np.asarray(texts)
    inputs = {"mask": flags["mask"], "text": texts.astype(np.int32)}
    task = build_task(RetrievalSpec(width=vectors[0].shape[1]), FACTS, regularization=RegularizationSpec(), seed=0)
    tensors, inputs = ({name: tf.constant(value) for name, value in each.items()} for each in (outputs, inputs))
    found = task.across_replicas(tensors, inputs)
    [recall] = task.row_metrics(found, inputs)
    return task.row_losses(found, inputs).numpy(), recall.numpy(), flags["mask"]


def unit_vectors(rows=7, width=4, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(2, rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def by_hand(image, text, allowed, scale=2.0):
    """Loss and recall of each row among the others that are allowed, from the definitions."""
    losses, recalls = [], []
    for row in range(len(image)):
        ways = []
        for asked, found in ((image, text), (text, image)):
            cosines = {other: float(asked[row] @ found[other]) for other in range(len(image)) if allowed(row, other)}
            total = sum(np.exp(scale * cosine) for cosine in cosines.values())
            best = max(cosines, key=cosines.__getitem__)
            ways.append((-np.log(np.exp(scale * cosines[row]) / total), float(best == row)))
        losses.append(np.mean([loss for loss, _ in ways]))
        recalls.append(np.mean([hit for _, hit in ways]))
    return np.array(losses), np.array(recalls)


def test_the_loss_and_the_recall_are_those_of_the_batch():
    image, text = unit_vectors()
    losses, recall, _ = judged((image, text))
    expected, hits = by_hand(image, text, lambda row, other: True)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_array_equal(recall, hits)
    assert 0 < hits.mean() < 1, "rows of both kinds"


def test_rows_that_are_no_pairs_are_nobody_s_negatives_and_do_not_thin_the_mean():
    image, text = unit_vectors()
    losses, recall, mask = judged((image, text), image=[1], text=[2, 4], mask=[5])
    kept = [0, 3, 6]
    expected, hits = by_hand(image[kept], text[kept], lambda row, other: True)
    assert np.flatnonzero(losses).tolist() == kept
    assert losses.sum() / mask.sum() == pytest.approx(expected.mean(), rel=1e-5), "the mean over the pairs"
    assert recall.sum() / mask.sum() == pytest.approx(hits.mean(), rel=1e-6)
    losses, recall, _ = judged((image, text), image=range(7))
    assert not losses.any()
    assert not recall.any()


def test_another_row_with_the_same_text_is_neither_right_nor_wrong():
    image, text = unit_vectors()
    texts = [[1, 2], [3, 4], [1, 2], [2, 1], [0, 0], [3, 4], [7, 7]]
    losses, recall, _ = judged((image, text), texts=texts)
    expected, hits = by_hand(image, text, lambda row, other: row == other or texts[row] != texts[other])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_array_equal(recall, hits)


def test_vectors_that_are_all_the_same_find_nothing():
    same = np.full((4, 3), 3**-0.5, np.float32)
    _, recall, _ = judged((same, same))
    assert not recall.any()


def trained(batches, *, replicas):
    strategy = strategy_over(replicas)
    with strategy.scope():
        model, task = make()
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
    steps = Steps(model, task, optimizer, strategy, augmentations=(), seed=0, local_replicas=replicas, worker=0)
    sums = [steps.sums(steps.train(batch, epoch=0)) for batch in batches]
    sums.append(steps.sums(steps.validate(batches[0])))
    return [weight.numpy() for weight in model.trainable_weights], sums


def test_two_replicas_train_like_one():
    batches = [make_batch(64, real=64), make_batch(64, real=40, seed=1), make_batch(64, real=20, seed=2)]
    (one, one_sums), (two, two_sums) = (trained(batches, replicas=n) for n in (1, 2))
    for expected, received in zip(one, two, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=2e-6)
    for expected, received in zip(one_sums, two_sums, strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
        assert (received.counts, received.rows) == (pytest.approx(expected.counts), expected.rows)
    start, _ = make()
    still = [
        weight.path
        for weight, learned in zip(start.trainable_weights, one, strict=True)
        if np.array_equal(weight.numpy(), learned)
    ]
    assert all("stand_in" in path for path in still), "every weight learns, the temperature among them"
    assert len(still) == 2, "but what stands in for a row that does not count"


def test_the_model_answers_with_unit_vectors_and_what_they_are_of():
    model, task = make()
    batch = replace(make_batch(6, real=6), image_present=np.arange(6) > 0, text_present=np.arange(6) < 5)
    arrays = {name: tf.constant(value) for name, value in batch.inputs().items()}
    answers = task.predict(model, {**arrays, "image": tf.cast(arrays["image"], tf.float32) / 255.0})
    assert {name: tuple(value.shape) for name, value in answers.items()} == {
        "image_embedding": (6, 5),
        "text_embedding": (6, 5),
        "image_present": (6,),
        "text_present": (6,),
    }
    np.testing.assert_array_equal(answers["image_present"], [0, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(np.linalg.norm(answers["image_embedding"], axis=1)[1:], 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(answers["text_embedding"], axis=1)[:5], 1.0, rtol=1e-5)


def test_the_scale_of_cosines_stops_at_100_and_can_come_down_again():
    space = SharedSpace(RetrievalSpec(width=3), regularization=RegularizationSpec(), seed=0)
    vectors = tf.ones([2, 4])
    assert float(space(vectors, vectors)[2][0]) == pytest.approx(1 / 0.07)
    space.log_scale.assign(6.0)
    with tf.GradientTape() as tape:
        scale = space(vectors, vectors)[2][0]
    assert float(scale) == pytest.approx(100.0)
    assert float(tape.gradient(scale, space.log_scale.value)) == pytest.approx(100.0)


def test_a_model_without_texts_is_refused():
    facts = DataFacts((SIDE, SIDE))
    task = build_task(SPEC, facts, regularization=SMALL.regularization, seed=0)
    with pytest.raises(JobFileError, match="retrieval compares pictures with texts"):
        build_model(SMALL, task, facts, seed=0)
