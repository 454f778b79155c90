"""What the text Transformer reads: order, and nothing of padding; its positions against the paper."""

import numpy as np
import pytest

from mmdist.models.text import build_text_tower
from mmdist.models.text.tower import sinusoids
from mmdist.spec.model import RegularizationSpec, TextTransformerSpec

TEXTS = np.array([[2, 3, 4, 0, 0], [4, 3, 2, 0, 0], [0, 0, 0, 0, 0]], np.int32)
PRESENT = np.ones(3, bool)


def make(**changes):
    spec = TextTransformerSpec(width=8, heads=2, units=None, **changes)
    return build_text_tower(spec, regularization=RegularizationSpec(), vocabulary=9, seed=0)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_order_counts_and_padding_does_not(positions):
    tower = make(positions=positions)
    output = tower(TEXTS, PRESENT)
    assert not np.allclose(output.pooled[0], output.pooled[1], atol=1e-4)
    np.testing.assert_array_equal(output.pooled[2], tower.stand_in.vector_D.numpy())
    np.testing.assert_array_equal(np.asarray(output.token_mask), TEXTS != 0)
    tokens = np.asarray(output.tokens)
    np.testing.assert_allclose(output.pooled[:2], tokens[:2, :3].mean(axis=1), atol=1e-6)
    tower.embedding.embeddings[0].assign(np.full(8, 50, np.float32))
    np.testing.assert_array_equal(tower(TEXTS, PRESENT).pooled, output.pooled)


def test_sines_are_the_papers():
    received = sinusoids(5, 6)
    for place in range(5):
        for number in range(3):
            angle = place / 10_000 ** (2 * number / 6)
            np.testing.assert_allclose(received[place, [number, 3 + number]], [np.sin(angle), np.cos(angle)], atol=1e-6)
    assert sinusoids(4, 5).shape == (4, 5)
