import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.errors import JobFileError
from mmdist.models.build import build_model, make_predict_fn
from mmdist.models.draws import Dropout
from mmdist.models.facts import DataFacts
from mmdist.models.seeds import seed_for
from mmdist.models.tasks import build_task
from mmdist.spec.model import CNNSpec, ModelSpec, RegularizationSpec
from mmdist.spec.task import ClassificationSpec

SEED_MODEL = ModelSpec()
FACTS = DataFacts(image_size=(64, 64), text_tokens=16, vocabulary=100, labels=tuple("abcdefgh"))


def make(spec=SEED_MODEL, **changes):
    """A model that tells eight labels apart, and its task."""
    facts = replace(FACTS, **changes)
    task = build_task(ClassificationSpec(), facts, regularization=spec.regularization, seed=0)
    return build_model(spec, task, facts, seed=0), task


def predicted(made, arrays):
    return make_predict_fn(*made)(arrays)["probabilities"]


def batch(rows=4):
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (rows, 64, 64, 3)).astype(np.uint8),
        "image_present": np.ones(rows, bool),
        "text": rng.integers(2, 100, (rows, 16)).astype(np.int32),
        "text_present": np.ones(rows, bool),
    }


def keras_twin():
    """The seed's model, written down in plain Keras."""
    layers = keras.layers
    image, text = keras.Input((64, 64, 3)), keras.Input((16,), dtype="int32")
    hidden = image
    for filters in (32, 64, 128):
        hidden = layers.MaxPooling2D(2)(layers.Conv2D(filters, 3, activation="relu")(hidden))
    image_features = layers.Dense(128, activation="relu")(layers.Flatten()(hidden))
    words = layers.Embedding(100, 128, mask_zero=True)(text)
    text_features = layers.Dense(64, activation="relu")(layers.Bidirectional(layers.LSTM(64))(words))
    logits = layers.Dense(8)(layers.Concatenate()([image_features, text_features]))
    return keras.Model([image, text], keras.layers.Softmax()(logits))


def test_it_is_the_seeds_model_exactly():
    (model, task), twin = make(), keras_twin()
    weights = [weight for weight in model.weights if "stand_in" not in weight.path]
    by_shape = {}
    for weight in weights:
        by_shape.setdefault(tuple(weight.shape), []).append(weight.numpy())
    for weight in twin.weights:
        weight.assign(by_shape[tuple(weight.shape)].pop(0))
    assert not any(by_shape.values())
    arrays = batch()
    arrays["text"][:, 9:] = 0
    expected = twin.predict_on_batch([arrays["image"] / np.float32(255), arrays["text"]])
    np.testing.assert_allclose(predicted((model, task), arrays), expected, atol=1e-6)


def test_a_modality_without_a_column_has_no_tower():
    image_only = make(text_tokens=None, vocabulary=None)
    text_only = make(image_size=None)
    assert set(image_only[0].input) == {"image", "image_present"}
    assert set(text_only[0].input) == {"text", "text_present"}
    assert predicted(text_only, batch()).shape == (4, 8)
    with pytest.raises(JobFileError, match="nothing to read"):
        make(image_size=None, text_tokens=None, vocabulary=None)


def test_an_empty_text_is_an_absent_one_and_no_nan():
    made = make()
    arrays = batch()
    arrays["text"][0] = 0
    arrays["text_present"][1] = False
    result = predicted(made, arrays)
    assert np.all(np.isfinite(result))
    arrays["text"][1] = 0
    np.testing.assert_array_equal(result, predicted(made, arrays))
    arrays["text_present"][0] = False
    np.testing.assert_array_equal(result, predicted(made, arrays))


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(JobFileError, match=r"at least 22 x 22\n  received: 64 x 21"):
        make(image_size=(64, 21))
    make(image_size=(22, 22))
    make(ModelSpec(image=CNNSpec(filters=(4,))), image_size=(4, 4))


def test_penalties_are_on_the_kernels_of_convolutions_and_dense_layers():
    model, _ = make(ModelSpec(regularization=RegularizationSpec(l2=0.5)))
    kernels = [
        weight for weight in model.trainable_weights if weight.path.endswith("kernel") and "lstm" not in weight.path
    ]
    assert len(kernels) == 6
    expected = sum(0.5 * float(np.sum(np.square(weight.numpy()))) for weight in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert make()[0].losses == []


def masks(replicas, *, rows=8):
    """What a dropout layer leaves of ones, in two draws over a batch of so many rows."""
    ones = tf.ones((rows // replicas, 3, 333))
    strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])
    with strategy.scope():
        layer = Dropout(0.5, seed=3, name="drop")
        np.testing.assert_array_equal(layer(ones), ones)
    run = tf.function(lambda: strategy.run(lambda: layer(ones, training=True)))
    return np.array(
        [np.concatenate([part.numpy() for part in strategy.experimental_local_results(run())]) for _ in "12"]
    )


def test_dropout_is_seeded_and_the_same_however_many_replicas_share_the_batch():
    draws = masks(1)
    assert abs(float(np.mean(draws == 0.0)) - 0.5) < 0.02
    assert set(np.unique(draws)) == {0.0, 2.0}
    np.testing.assert_array_equal(draws, masks(2))
    rows = draws.reshape(16, -1)  # no two rows, and no two draws, lose the same units
    for first, second in itertools.combinations(rows, 2):
        assert abs(float(np.mean(first == second)) - 0.5) < 0.08


def test_losses_and_metrics_are_by_row():
    _, task = make()
    outputs = {"logits": np.array([[9.0, 0.0], [0.0, 9.0], [0.0, 9.0]], np.float32)}
    inputs = {"label": np.array([0, 1, 0], np.int32)}
    close, far = np.log1p(np.exp(-9.0)), np.log1p(np.exp(9.0))
    np.testing.assert_allclose(task.row_losses(outputs, inputs), [close, close, far], rtol=1e-3)
    [right] = task.row_metrics(outputs, inputs)
    np.testing.assert_array_equal(right, [1.0, 1.0, 0.0])


def test_seeds_of_neighbouring_jobs_and_names_differ():
    assert len({seed_for(seed, name) for seed in range(4) for name in "abcd"}) == 16
