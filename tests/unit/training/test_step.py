"""The update does not depend on how a batch is shared out, and a row that is masked is no row."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from strategies import strategy_over

from mmdist.data.augmentation import Partners, augment
from mmdist.data.augmentation_draws import augmentation_arrays
from mmdist.data.batches import Batch, LedgerDelta
from mmdist.models.arrays import read_variables
from mmdist.models.build import build_model
from mmdist.models.facts import DataFacts
from mmdist.models.tasks import Task, build_task
from mmdist.spec.augment import AugmentSpec, CutmixSpec, ErasingSpec, FlipSpec, MixupSpec
from mmdist.spec.model import BiLSTMSpec, CNNSpec, ModelSpec, RegularizationSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.training.step import Steps

SIDE, TOKENS, WORDS, CLASSES = 12, 5, 20, 4
LANE_PLACES = 8
PLAIN = ClassificationSpec()
MIXING = (FlipSpec(), MixupSpec(probability=0.5, alpha=1.0), CutmixSpec(), ErasingSpec())


def make_batch(rows: int, *, real: int, seed: int = 0) -> Batch:
    """`rows` places of which the first `real` count; the others hold noise that must not be seen."""
    rng = np.random.default_rng(seed)
    return Batch(
        index=0,
        image=rng.integers(0, 256, (rows, SIDE, SIDE, 3)).astype(np.uint8),
        image_present=rng.random(rows) < 0.8,
        text=rng.integers(0, WORDS, (rows, TOKENS)).astype(np.int32),
        text_present=rng.random(rows) < 0.8,
        label=rng.integers(0, CLASSES, rows).astype(np.int32),
        mask=(np.arange(rows) < real).astype(np.float32),
        row=np.arange(rows, dtype=np.int64),
        ids=[str(row) for row in range(rows)],
        bad=[],
        ledger=LedgerDelta(real, {}),
    )


def make(spec: ModelSpec, task_spec: ClassificationSpec = PLAIN, **changes) -> tuple[Any, Task]:
    labels = tuple(str(number) for number in range(CLASSES))
    facts = replace(DataFacts((SIDE, SIDE), text_tokens=TOKENS, vocabulary=WORDS, labels=labels), **changes)
    task = build_task(task_spec, facts, regularization=spec.regularization, seed=0)
    return build_model(spec, task, facts, seed=0), task


def trained(
    batches: list[Batch],
    *,
    replicas: int,
    optimizer: str,
    l2: float = 0.01,
    augmentations: Sequence[AugmentSpec] = (),
    dropout: float = 0.3,
    accumulate: int = 1,
    task_spec: ClassificationSpec = PLAIN,
    label_weights: tuple[float, ...] = (),
    normalization: Literal["batch", "group"] | None = None,
) -> tuple[list[np.ndarray], list]:
    strategy = strategy_over(replicas)
    spec = ModelSpec(
        image=CNNSpec(filters=(4, 8), units=8, normalization=normalization),
        text=BiLSTMSpec(embedding=6, lstm_units=4, units=6),
        regularization=RegularizationSpec(l2=l2, dropout=dropout),
    )
    with strategy.scope():
        model, task = make(spec, task_spec, label_weights=label_weights)
        made = {"sgd": keras.optimizers.SGD(0.1), "adam": keras.optimizers.Adam(0.01)}[optimizer]
        made.build(model.trainable_variables)
    steps = Steps(
        model,
        task,
        made,
        strategy,
        augmentations=augmentations,
        seed=0,
        local_replicas=replicas,
        worker=0,
        lane_places=LANE_PLACES,
        accumulate=accumulate,
    )
    sums = [steps.sums(steps.train(batch, epoch=0)) for batch in batches]
    sums.append(steps.sums(steps.validate(batches[0])))
    return read_variables(model.weights), sums


@pytest.mark.parametrize(
    ("optimizer", "tolerance", "changes"),
    [
        ("sgd", 3e-7, {}),
        ("adam", 3e-6, {}),
        ("sgd", 3e-7, {"augmentations": MIXING}),
        ("sgd", 3e-6, {"normalization": "batch"}),
    ],
    ids=["sgd", "adam", "mixing", "batch normalization"],
)
def test_two_replicas_of_32_update_like_one_of_64(optimizer, tolerance, changes):
    # The second batch is short: 40 of 64 rows, so that the replicas count 32 and 8.
    batches = [make_batch(64, real=64), make_batch(64, real=40, seed=1), make_batch(64, real=20, seed=2)]
    (one, one_sums), (two, two_sums) = (trained(batches, replicas=n, optimizer=optimizer, **changes) for n in (1, 2))
    for expected, received in zip(one, two, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance)
    for expected, received in zip(one_sums, two_sums, strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
        assert (received.counts, received.rows) == (expected.counts, expected.rows)
    assert [sums.rows for sums in one_sums] == [64, 40, 20, 64]


def test_accumulated_in_parts_a_batch_updates_like_the_whole():
    # Of the short batches, parts have 20 rows each, or one part the one row and the other none.
    batches = [make_batch(64, real=64), make_batch(64, real=40, seed=1), make_batch(64, real=1, seed=2)]
    (one, one_sums), (parts, parts_sums) = (
        trained(batches, optimizer="sgd", dropout=0.0, augmentations=MIXING, replicas=n, accumulate=n) for n in (1, 2)
    )
    for expected, received in zip(one, parts, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=3e-7)
    for expected, received in zip(one_sums, parts_sums, strict=True):
        assert received.loss_sum == pytest.approx(expected.loss_sum, rel=1e-5)
        assert (received.counts, received.rows, received.broken) == (expected.counts, expected.rows, 0)


@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("augmentations", [(), MIXING])
def test_padding_changes_nothing(augmentations, normalization):
    short = make_batch(8, real=8)
    padded = make_batch(16, real=8, seed=9)
    for name in ("image", "image_present", "text", "text_present", "label"):
        getattr(padded, name)[:8] = getattr(short, name)
    (one, one_sums), (two, two_sums) = (
        trained([batch], replicas=1, optimizer="sgd", augmentations=augmentations, normalization=normalization)
        for batch in (short, padded)
    )
    for expected, received in zip(one, two, strict=True):
        np.testing.assert_allclose(received, expected, rtol=0, atol=3e-7)
    assert two_sums[0].loss_sum == pytest.approx(one_sums[0].loss_sum, rel=1e-6)


def test_rows_that_do_not_count_are_mixed_into_none():
    batch = make_batch(16, real=13)
    other = replace(batch, image=batch.image.copy(), label=batch.label.copy())
    other.image[13:] = 255 - other.image[13:]
    other.label[13:] = (other.label[13:] + 1) % CLASSES
    (one, _), (two, _) = (
        trained([given], replicas=1, optimizer="sgd", augmentations=MIXING) for given in (batch, other)
    )
    for expected, received in zip(one, two, strict=True):
        np.testing.assert_array_equal(received, expected)


def test_what_is_taught_changes_the_update_and_not_the_loss_that_is_told():
    spec = ClassificationSpec(label_smoothing=0.2, focal_gamma=1.0)
    batches = [make_batch(32, real=30)]
    ways = {"task_spec": spec, "label_weights": (0.5, 2.0, 1.0, 4.0)}
    (plain, plain_sums), (other, other_sums) = (
        trained(batches, replicas=n, optimizer="sgd", augmentations=MIXING, **changes)
        for n, changes in ((1, {}), (2, ways))
    )
    assert other_sums[0].loss_sum == pytest.approx(plain_sums[0].loss_sum, rel=1e-5)
    assert other_sums[0].counts == plain_sums[0].counts
    assert any(not np.allclose(each, changed, atol=1e-4) for each, changed in zip(plain, other, strict=True))


def test_a_mixed_row_has_two_labels_weighed_by_its_share():
    batch = replace(make_batch(16, real=16), image_present=np.ones(16, np.bool_))
    arrays = augmentation_arrays(MIXING, 0, 0, batch, lane_places=LANE_PLACES)
    spec = ModelSpec(image=CNNSpec(filters=(4,), units=8))
    with strategy_over(1).scope():
        model, task = make(spec, text_tokens=None, vocabulary=None)
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    partners = Partners(arrays["partner_image"], arrays["partner_augmentation"])
    pictures = augment(batch.image, arrays["augmentation"], MIXING, partners)
    given = {"image": pictures, "image_present": tf.constant(batch.image_present)}
    logits = model({name: given[name] for name in model.input}, training=True)["logits"].numpy()
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own, other = (-log_probabilities[np.arange(16), label] for label in (batch.label, arrays["partner_label"]))
    share = arrays["own_share"]
    assert (arrays["partner_label"] != batch.label).any()
    steps = Steps(
        model,
        task,
        optimizer,
        strategy_over(1),
        augmentations=MIXING,
        seed=0,
        local_replicas=1,
        worker=0,
        lane_places=LANE_PLACES,
    )
    sums = steps.sums(steps.train(batch, epoch=0))
    assert sums.loss_sum == pytest.approx(float((share * own + (1 - share) * other).sum()), rel=1e-5)
    assert sums.counts[0] == (logits.argmax(axis=1) == batch.label).sum()


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_a_batch_without_a_row_that_counts_is_penalty_alone(normalization):
    changes = {"optimizer": "sgd", "l2": 0.0, "normalization": normalization}
    weights, [sums, _] = trained([make_batch(16, real=0)], replicas=2, **changes)
    untouched, _ = trained([make_batch(16, real=0)], replicas=1, **changes)
    assert (sums.loss_sum, sums.counts, sums.rows) == (0.0, (0.0,), 0.0)
    for expected, received in zip(untouched, weights, strict=True):
        assert np.all(np.isfinite(received))
        np.testing.assert_array_equal(expected, received)


def test_the_loss_is_the_mean_and_the_penalty_counts_once():
    batch = make_batch(16, real=16)
    plain, _ = trained([batch], replicas=2, optimizer="sgd", l2=0.0)
    held, _ = trained([batch], replicas=2, optimizer="sgd", l2=0.5)
    start, _ = trained([make_batch(16, real=0)], replicas=2, optimizer="sgd", l2=0.0)
    kernel = next(number for number, weight in enumerate(start) if weight.ndim == 4)
    # SGD at 0.1 with a penalty of 0.5 w^2 takes 0.1 w off, beside what the data asks for.
    np.testing.assert_allclose(plain[kernel] - held[kernel], 0.1 * start[kernel], rtol=1e-3, atol=1e-6)


def test_a_broken_number_is_seen_where_relu_may_hide_it_from_the_loss():
    batch = make_batch(16, real=16)
    strategy = strategy_over(2)
    with strategy.scope():
        spec = ModelSpec(image=CNNSpec(filters=(4,), units=8), regularization=RegularizationSpec(l2=0.01))
        model, task = make(spec, text_tokens=None, vocabulary=None)
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(model.trainable_variables)
    steps = Steps(model, task, optimizer, strategy, augmentations=(), seed=0, local_replicas=2, worker=0)
    assert steps.sums(steps.train(batch, epoch=0)).broken == 0
    kernel = model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan, np.float32))
    assert steps.sums(steps.train(batch, epoch=0)).broken == 2
