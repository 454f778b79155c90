import numpy as np
import pytest

from mmdist.errors import JobFileError
from mmdist.models.image import build_image_tower
from mmdist.spec.model import ConvNeXtSpec, RegularizationSpec

PICTURES = np.random.default_rng(0).random((2, 16, 24, 3), np.float32)
PRESENT = np.ones(2, bool)


def make(size=(16, 24), l2=0.0, **changes):
    spec = ConvNeXtSpec(**{"depths": (1, 1), "widths": (4, 8), "stem_px": 4, "units": 5, **changes})
    return build_image_tower(spec, regularization=RegularizationSpec(l2=l2), image_size=size, seed=0)


@pytest.mark.parametrize(("stem", "places"), [(2, 4 * 6), (4, 2 * 3)])
def test_the_stem_and_each_further_stage_make_the_picture_smaller(stem, places):
    assert make(stem_px=stem)(PICTURES, PRESENT).tokens.shape == (2, places, 8)


def test_blocks_of_no_scale_hand_their_input_on():
    tower = make(layer_scale=0.0)
    features = np.random.default_rng(1).random((2, 5, 5, 4), np.float32)
    block = tower.parts[2]
    np.testing.assert_array_equal(block(features), features)
    block.scale_C.assign(np.ones(4, np.float32))
    assert np.abs(np.asarray(block(features)) - features).max() > 0.1


def test_a_place_sees_three_to_each_side():
    block = make().parts[2]
    features = np.zeros((1, 9, 9, 4), np.float32)
    block(features)
    features[0, 0, 0] = np.arange(4)
    changed = np.any(np.asarray(block(features)) != np.asarray(block(np.zeros_like(features))), axis=-1)[0]
    assert changed[:4, :4].all()
    assert not changed[4:].any()
    assert not changed[:, 4:].any()


def test_stochastic_depth_grows_with_depth():
    tower = make(depths=(1, 2), stochastic_depth=0.5)
    assert [part.depth.rate for part in tower.parts if hasattr(part, "depth")] == [0.0, 0.25, 0.5]
    assert not np.array_equal(tower(PICTURES, PRESENT).pooled, tower(PICTURES, PRESENT, training=True).pooled)


def test_kernels_are_drawn_apart_and_penalized():
    tower = make(l2=0.5, depths=(2, 2))
    tower(PICTURES, PRESENT)
    kernels = [weight.numpy() for weight in tower.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) == 2 + 4 * 3 + 1
    assert len({kernel.ravel()[:8].tobytes() for kernel in kernels}) == len(kernels)
    expected = sum(0.5 * float(np.sum(np.square(kernel))) for kernel in kernels)
    assert float(sum(tower.losses)) == pytest.approx(expected, rel=1e-5)


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(JobFileError, match=r"at least 8 x 8\n  received: 7 x 24"):
        make(size=(7, 24))
