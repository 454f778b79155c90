"""What every member of a model family must do: forward pass, absent rows, save and load, precision, one step."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from mmdist.models.arrays import assign_arrays, pack_arrays, read_variables, unpack_arrays
from mmdist.models.decoders import UNSAID
from mmdist.models.layers import TowerOutput


def check_tower(
    make: Callable[[int], Any], inputs: Mapping[str, np.ndarray], *, tokens: tuple[int, ...], pooled: tuple[int, ...]
) -> None:
    """A tower from a seed; `inputs` has the modality first and then `present`, with at least one row absent."""
    value, present = inputs.values()
    tower = make(0)
    output = tower(value, present)
    assert isinstance(output, TowerOutput)
    assert output.tokens.shape == tokens
    assert output.token_mask.shape == tokens[:2]
    assert output.pooled.shape == pooled
    assert np.all(np.isfinite(output.pooled))
    assert not np.any(np.asarray(output.token_mask)[~present])
    _check_stand_in(tower, value, present)
    _check_save_and_load(make, lambda layer: layer(value, present).pooled)
    _check_precision(make, lambda layer: layer(value, present).pooled)
    _check_step(tower, lambda layer: layer(value, present, training=True).pooled)


def check_fusion(make: Callable[[int], Any], towers: list[TowerOutput], *, fused: tuple[int, ...]) -> None:
    """A fusion from a seed."""
    layer = make(0)
    assert layer(towers).shape == fused
    # What lies in places that the mask leaves out must not be seen.
    noisy = [
        tower._replace(tokens=np.where(np.asarray(tower.token_mask)[..., None], tower.tokens, 1e6)) for tower in towers
    ]
    np.testing.assert_array_equal(layer(towers), layer(noisy))
    _check_save_and_load(make, lambda fusion: fusion(towers))
    _check_precision(make, lambda fusion: fusion(towers))
    if layer.trainable_weights:
        _check_step(layer, lambda fusion: fusion(towers, training=True))


def check_late_fusion(make: Callable[[], Any], towers: list[TowerOutput], numbers: list[np.ndarray]) -> None:
    """A fusion of heads' outputs: it has no weights that a seed draws."""
    layer = make()
    mean = np.asarray(layer(towers, numbers))
    assert mean.shape == numbers[0].shape
    # What the head of an absent modality says is not heard.
    present = [np.asarray(tower.token_mask).any(axis=1) for tower in towers]
    alone = ~np.all(present, axis=0) & np.any(present, axis=0)
    noisy = [np.where((alone & ~here)[:, None], 1e6, each) for here, each in zip(present, numbers, strict=True)]
    np.testing.assert_array_equal(mean, layer(towers, [each.astype(np.float32) for each in noisy]))
    for row in np.flatnonzero(alone):
        [one] = [each[row] for here, each in zip(present, numbers, strict=True) if here[row]]
        np.testing.assert_allclose(mean[row], one, rtol=1e-6)
    _check_precision(lambda seed: make(), lambda fusion: fusion(towers, numbers), expected="float32")


def check_head(make: Callable[[int], Any], fused: np.ndarray, *, logits: tuple[int, ...]) -> None:
    """A task's head from a seed."""
    head = make(0)
    assert head(fused).shape == logits
    _check_save_and_load(make, lambda layer: layer(fused))
    _check_precision(make, lambda layer: layer(fused), expected="float32")
    _check_step(head, lambda layer: layer(fused))


def check_space(make: Callable[[int], Any], image: np.ndarray, text: np.ndarray, *, vectors: tuple[int, ...]) -> None:
    """A space that two towers share, from a seed: unit vectors, and a scale for their cosines."""
    space = make(0)
    for embedding in space(image, text)[:2]:
        assert embedding.shape == vectors
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-2)

    def call(layer: Any) -> Any:
        ours, theirs, scale = layer(image, text)
        return keras.ops.sum(ours * theirs, axis=1) * scale

    _check_save_and_load(make, call)
    _check_precision(make, call, expected="float32")
    _check_step(space, call)


def check_decoder(
    make: Callable[[int], Any], label: np.ndarray, memory: np.ndarray, *, logits: tuple[int, ...]
) -> None:
    """A decoder of sentences from a seed, on a memory of which all places count; logits of words and the end."""
    mask = np.ones(memory.shape[:2], bool)

    def call(decoder: Any) -> Any:
        return decoder(label, memory, mask)[:, :, UNSAID:]

    decoder = make(0)
    assert call(decoder).shape == logits
    later = label.copy()
    later[:, -1] = 3
    np.testing.assert_array_equal(
        decoder(later, memory, mask)[:, :, UNSAID:], call(decoder), "the last token is no one's past"
    )
    _check_save_and_load(make, call)
    _check_precision(make, call, expected="float32")
    _check_step(decoder, call)


def _check_stand_in(tower: Any, value: np.ndarray, present: np.ndarray) -> None:
    other = np.where(present.reshape(-1, *[1] * (value.ndim - 1)), value, value + 1).astype(value.dtype)
    before, after = (np.asarray(tower(rows, present).pooled) for rows in (value, other))
    np.testing.assert_array_equal(before, after)
    [vector] = [weight for weight in tower.trainable_weights if "stand_in" in weight.path]
    vector.assign(np.full(vector.shape, 0.5, np.float32))
    np.testing.assert_array_equal(np.asarray(tower(value, present).pooled)[~present], 0.5)


def _check_save_and_load(make: Callable[[int], Any], call: Callable[[Any], Any]) -> None:
    first, second = make(0), make(1)
    expected = np.asarray(call(first))
    call(second)
    if first.trainable_weights:
        assert not np.array_equal(expected, np.asarray(call(second))), "the seed does not reach the weights"
        again = make(0)
        np.testing.assert_array_equal(expected, np.asarray(call(again)), "the same seed gives other weights")
    data = pack_arrays(read_variables(first.weights))
    assign_arrays(second.weights, unpack_arrays(data, file="weights"), file="weights")
    np.testing.assert_array_equal(expected, np.asarray(call(second)))


def _check_precision(make: Callable[[int], Any], call: Callable[[Any], Any], *, expected: str = "bfloat16") -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = make(0)
        output = call(layer)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(output.dtype) == expected
    assert all(weight.dtype == "float32" for weight in layer.trainable_weights)


def _check_step(layer: Any, call: Callable[[Any], Any]) -> None:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.cast(call(layer), tf.float32) - 1.0))
    gradients = tape.gradient(loss, layer.trainable_weights)
    assert all(gradient is not None for gradient in gradients), "a weight is not trained"
    keras.optimizers.SGD(1e-3).apply(gradients, layer.trainable_weights)
    assert float(tf.reduce_mean(tf.square(tf.cast(call(layer), tf.float32) - 1.0))) < float(loss)
