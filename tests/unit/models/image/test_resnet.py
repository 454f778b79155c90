import numpy as np
import pytest

from mmdist.errors import JobFileError
from mmdist.models.draws import StochasticDepth
from mmdist.models.image import build_image_tower
from mmdist.spec.model import RegularizationSpec, ResNetSpec

PICTURES = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
PRESENT = np.ones(4, bool)


def make(**changes):
    spec = ResNetSpec(**{"depths": (2, 1), "widths": (8, 12), "units": 5, **changes})
    return build_image_tower(spec, regularization=RegularizationSpec(), image_size=(16, 16), seed=0)


@pytest.mark.parametrize(("stride", "places"), [(1, 64), (2, 16), (4, 4)])
def test_each_stage_after_the_first_halves_the_picture(stride, places):
    assert make(stem_stride=stride)(PICTURES, PRESENT).tokens.shape == (4, places, 12)


def test_no_two_weights_are_drawn_alike():
    tower = make(depths=(2, 2), widths=(8, 8))
    tower(PICTURES, PRESENT)
    kernels = [weight.numpy() for weight in tower.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) == 1 + 4 * 2 + 2 + 1
    assert len({kernel.ravel()[:8].tobytes() for kernel in kernels}) == len(kernels)


def test_a_row_does_not_look_at_the_others():
    tower = make()
    together = np.asarray(tower(PICTURES, PRESENT, training=True).pooled)
    alone = np.concatenate([tower(PICTURES[row : row + 1], PRESENT[:1], training=True).pooled for row in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_a_block_that_is_left_out_hands_its_input_on():
    tower = make(stochastic_depth=0.999, depths=(1, 1, 1), widths=(8, 8, 8))
    tower(PICTURES, PRESENT)
    last = tower.blocks[-1]
    features = np.random.default_rng(1).random((4, 4, 4, 8), np.float32)
    active = np.maximum(last.norm(features, PRESENT), 0.0)
    np.testing.assert_array_equal(last(features, PRESENT, training=True), last.shortcut(active))
    assert not np.array_equal(last(features, PRESENT), last(features, PRESENT, training=True))
    assert [block.depth.rate for block in tower.blocks] == pytest.approx([0.0, 0.4995, 0.999])


def test_a_branch_that_is_left_out_for_some_rows_counts_more_for_the_others():
    ones = np.ones((400, 2, 3), np.float32)
    rows = np.asarray(StochasticDepth(0.25, seed=0, name="depth")(ones, training=True))
    kept = rows[:, 0, 0] > 0
    assert 0.65 < np.mean(kept) < 0.85
    np.testing.assert_allclose(rows[kept], 4 / 3, rtol=1e-6)
    np.testing.assert_array_equal(rows[~kept], 0.0)


def test_kernels_alone_are_penalized():
    spec = ResNetSpec(depths=(1,), widths=(8,), units=5)
    tower = build_image_tower(spec, regularization=RegularizationSpec(l2=0.5), image_size=(16, 16), seed=0)
    tower(PICTURES, PRESENT)
    kernels = [weight.numpy() for weight in tower.trainable_weights if weight.path.endswith("kernel")]
    expected = sum(0.5 * float(np.sum(np.square(kernel))) for kernel in kernels)
    assert float(sum(tower.losses)) == pytest.approx(expected, rel=1e-5)


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(JobFileError, match=r"at least 32 x 32\n  received: 16 x 16"):
        make(depths=(1,) * 5, widths=(4,) * 5)
