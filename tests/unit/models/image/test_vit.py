import numpy as np
import pytest

from mmdist.errors import JobFileError
from mmdist.models.image import build_image_tower
from mmdist.spec.model import RegularizationSpec, ViTSpec

PICTURES = np.random.default_rng(0).random((2, 16, 24, 3), np.float32)
PRESENT = np.ones(2, bool)


def make(size=(16, 24), **changes):
    spec = ViTSpec(**{"patch_px": 8, "depth": 2, "width": 8, "heads": 2, "units": 5, **changes})
    return build_image_tower(spec, regularization=RegularizationSpec(dropout=0.5), image_size=size, seed=0)


def test_a_token_for_each_patch():
    output = make(patch_px=4)(PICTURES, PRESENT)
    assert output.tokens.shape == (2, 24, 8)
    assert np.all(output.token_mask)


def test_a_token_begins_as_its_patch():
    tower = make(depth=1)
    tower(PICTURES, PRESENT)
    patches = np.asarray(tower.patches(PICTURES)).reshape(2, 6, 8)
    # The patch in row 1, column 2 of the picture is the last of 2 x 3.
    alone = np.einsum("hwc,hwcd->d", PICTURES[0, 8:, 16:], np.asarray(tower.patches.kernel))
    np.testing.assert_allclose(patches[0, 5], alone, rtol=1e-4, atol=1e-5)


def test_positions_tell_patches_apart():
    same = np.full((1, 16, 24, 3), 0.5, np.float32)
    tokens = np.asarray(make()(same, PRESENT[:1]).tokens)[0]
    assert len({token.tobytes() for token in tokens}) == 6


def test_dropout_of_the_blocks_is_the_towers_own():
    assert [drop.rate for block in make().blocks for drop in block.drops] == [0.0] * 4
    tower = make(dropout=0.25, stochastic_depth=0.5)
    assert [drop.rate for block in tower.blocks for drop in block.drops] == [0.25] * 4
    assert [[depth.rate for depth in block.depths] for block in tower.blocks] == [[0.0, 0.0], [0.5, 0.5]]
    assert tower.drop.rate == 0.5
    assert not np.array_equal(tower(PICTURES, PRESENT).tokens, tower(PICTURES, PRESENT, training=True).tokens)


def test_no_two_weights_are_drawn_alike():
    tower = make()
    tower(PICTURES, PRESENT)
    kernels = [weight.numpy() for weight in tower.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) == 1 + 2 * 6 + 1
    assert len({kernel.ravel()[:8].tobytes() for kernel in kernels}) == len(kernels)


def test_patches_that_do_not_divide_are_refused():
    with pytest.raises(JobFileError, match=r"whole patches of 8 pixels\n.*\n  received: 16 x 20\n  to do: .*to 2 or 4"):
        make(size=(16, 20))
