"""What a decoder may know, and what the captioning task counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.models.build import build_model, make_predict_fn
from mmdist.models.decoders import CaptionMemory, build_decoder
from mmdist.models.facts import DataFacts
from mmdist.models.layers import TowerOutput
from mmdist.models.tasks import build_task
from mmdist.spec.model import CNNSpec, ModelSpec, RegularizationSpec
from mmdist.spec.task import CaptioningSpec, LSTMDecoderSpec, TransformerDecoderSpec

DECODERS = (TransformerDecoderSpec(width=8, heads=2, blocks=1), LSTMDecoderSpec(embedding=6, units=8))
TOKENS, WORDS = 5, 6
CLASSES = WORDS + 3
END = CLASSES - 1
LABEL = np.array([[2, 3, 4, END, 0], [5, 6, 7, 3, 2], [4, END, 0, 0, 0]], np.int32)


def decoder_and_memory(spec, places=4):
    rng = np.random.default_rng(0)
    layer = build_decoder(spec, regularization=RegularizationSpec(), tokens=TOKENS, classes=CLASSES, seed=0)
    if isinstance(spec, LSTMDecoderSpec):
        places = 1
    memory = rng.normal(size=(3, places, 8)).astype(np.float32)
    return layer, memory, np.ones((3, places), bool)


@pytest.mark.parametrize("spec", DECODERS, ids=lambda spec: spec.type)
def test_a_word_is_told_from_those_before_it_alone(spec):
    layer, memory, mask = decoder_and_memory(spec)
    before = np.asarray(layer(LABEL, memory, mask))
    for place in range(TOKENS):
        other = LABEL.copy()
        other[:, place] = (other[:, place] + 1) % CLASSES
        after = np.asarray(layer(other, memory, mask))
        np.testing.assert_array_equal(before[:, : place + 1], after[:, : place + 1])
        if place + 1 < TOKENS:
            assert np.abs(before - after)[:, place + 1 :].max(axis=(1, 2)).min() > 1e-6
    assert np.abs(before - np.asarray(layer(LABEL, memory + 1, mask)))[:, 0].max() > 1e-6, "the picture is looked at"


def test_what_the_memory_leaves_out_is_not_seen():
    layer, memory, mask = decoder_and_memory(DECODERS[0])
    mask[:, 2:] = False
    noisy = np.where(mask[:, :, None], memory, 1e6).astype(np.float32)
    np.testing.assert_array_equal(layer(LABEL, memory, mask), layer(LABEL, noisy, mask))
    tower = TowerOutput(np.full((2, 3, 4), np.nan, np.float32), np.zeros((2, 3), bool), np.ones((2, 5), np.float32))
    rows, seen = CaptionMemory(8, seed=0)([tower])
    assert np.asarray(seen).tolist() == [[True, False, False, False]] * 2, "the stand-in is always there"
    assert np.all(np.isfinite(rows))


def make(spec=DECODERS[0], **changes):
    task_spec = CaptioningSpec(decoder=spec, tokens=TOKENS, **changes)
    facts = DataFacts(image_size=(12, 12), labels=tuple(f"w{number}" for number in range(WORDS)))
    task = build_task(task_spec, facts, regularization=RegularizationSpec(), seed=0)
    model = build_model(ModelSpec(image=CNNSpec(filters=(4,), units=8)), task, facts, seed=0)
    return model, task


def test_losses_are_means_over_the_tokens_of_a_row():
    _, task = make()
    logits = np.random.default_rng(1).normal(size=(3, TOKENS, CLASSES)).astype(np.float32)
    inputs = {"label": np.where(LABEL == 6, 1, LABEL)}  # an unknown word is passed over
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    losses, right = [], []
    for row, label in enumerate(LABEL):
        known = np.flatnonzero((label > 0) & (label != 6))
        losses.append(np.mean([-log_probabilities[row, place, label[place]] for place in known]))
        right.append(np.mean(logits[row, known].argmax(axis=-1) == label[known]))
    np.testing.assert_allclose(task.row_losses({"logits": logits}, inputs), losses, rtol=1e-5)
    np.testing.assert_allclose(task.row_metrics({"logits": logits}, inputs)[0], right, rtol=1e-6)
    noisy = np.where((LABEL == 0)[:, :, None], logits + 100.0, logits)
    for other in (noisy, np.where((LABEL == 0)[:, :, None], -logits, logits)):
        np.testing.assert_array_equal(
            task.row_losses({"logits": logits}, inputs), task.row_losses({"logits": other}, inputs)
        )
    empty = {"label": np.zeros((3, TOKENS), np.int32)}
    np.testing.assert_array_equal(task.row_losses({"logits": logits}, empty), np.zeros(3))


@pytest.mark.parametrize("spec", DECODERS, ids=lambda spec: spec.type)
def test_the_probability_of_an_answer_is_what_teaching_gives_it(spec):
    model, task = make(spec, beams=3, length_penalty=0.0)
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:  # far from even, so that sentences differ
        variable.assign(variable + rng.normal(scale=0.3, size=variable.shape))
    arrays = {
        "image": rng.integers(0, 255, (3, 12, 12, 3)).astype(np.uint8),
        "image_present": np.array([True, True, False]),
    }
    found = make_predict_fn(model, task)(arrays)
    tokens, log_probability = found["tokens"], found["log_probability"]
    assert tokens.shape == (3, TOKENS)
    assert not np.isin(tokens, [1]).any(), "the unknown word is never said"
    given = {"image": arrays["image"] / np.float32(255), "image_present": arrays["image_present"], "label": tokens}
    logits = np.asarray(model(given, training=False)["logits"])
    each = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = [
        sum(each[row, place, token] for place, token in enumerate(tokens[row]) if token) for row in range(len(tokens))
    ]
    np.testing.assert_allclose(log_probability, expected, rtol=1e-4)
    greedy = make(spec, beams=1)[1]
    assert np.all(make_predict_fn(model, greedy)(arrays)["log_probability"] <= log_probability + 1e-5)


def test_it_learns_to_say_what_it_sees():
    """Two pictures, two sentences: blind to the picture, the loss ends at 0.156; with a wrong shift, far higher."""
    model, task = make(DECODERS[0])
    pictures = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
    inputs = {"image": pictures / np.float32(255), "image_present": np.ones(2, bool), "label": LABEL[:2]}
    optimizer = keras.optimizers.Adam(0.02)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(task.row_losses(model(inputs, training=True), inputs))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    optimizer.build(model.trainable_variables)
    for _ in range(60):
        loss = step()
    assert float(loss) < 0.1
    arrays = {"image": pictures, "image_present": np.ones(2, bool)}
    np.testing.assert_array_equal(make_predict_fn(model, task)(arrays)["tokens"], LABEL[:2])
