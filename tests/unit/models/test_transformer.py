"""Attention against NumPy, and what a mask hides."""

import numpy as np

from mmdist.models.transformer import Attention, TransformerBlock
from mmdist.spec.model import RegularizationSpec

WIDTH, HEADS = 8, 2


def tokens(rows=3, count=5):
    return np.random.default_rng(0).normal(size=(rows, count, WIDTH)).astype(np.float32)


def test_attention_is_the_papers():
    layer, values = Attention(WIDTH, HEADS, seed=0, name="a"), tokens()
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    received = np.asarray(layer(values, values, mask[:, None, :]))
    query, key, value = (
        values @ each.kernel.numpy() + each.bias.numpy() for each in (layer.query, layer.key, layer.value)
    )
    heads = []
    for part in np.split(np.arange(WIDTH), HEADS):
        scores = query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(len(part))
        weights = np.exp(scores) * mask[:, None, :]
        heads.append(weights / weights.sum(axis=-1, keepdims=True) @ value[..., part])
    expected = np.concatenate(heads, axis=-1) @ layer.out.kernel.numpy() + layer.out.bias.numpy()
    np.testing.assert_allclose(received, expected, atol=1e-6)
    kernels = [each.kernel.numpy() for each in (layer.query, layer.key, layer.value)]
    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])


def test_what_a_mask_hides_is_not_seen():
    block, values = TransformerBlock(WIDTH, HEADS, regularization=RegularizationSpec(), seed=0, name="t/b"), tokens()
    mask = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    noisy = np.where(mask[..., None], values, 1e3)
    one, other = (np.asarray(block(each, mask[:, None, :])) for each in (values, noisy))
    np.testing.assert_array_equal(one[mask], other[mask])
    assert np.all(np.isfinite(one))


def test_dropout_is_for_training():
    block = TransformerBlock(WIDTH, HEADS, regularization=RegularizationSpec(dropout=0.5), seed=0, name="t/b")
    values, mask = tokens(), np.ones((3, 1, 5), bool)
    np.testing.assert_array_equal(block(values, mask), block(values, mask))
    assert not np.array_equal(block(values, mask, training=True), block(values, mask))
