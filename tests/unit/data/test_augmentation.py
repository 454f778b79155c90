import numpy as np
import pytest
from pictures import pixels

tf = pytest.importorskip("tensorflow")

from mmdist.data.augmentation import Partners, augment  # noqa: E402
from mmdist.data.augmentation_draws import augment_parameters, own_shares, parameter_count  # noqa: E402
from mmdist.spec.augment import (  # noqa: E402
    AugmentSpec,
    ColorSpec,
    CropSpec,
    CutmixSpec,
    ErasingSpec,
    FlipSpec,
    MixupSpec,
    ShiftSpec,
)

ALL: list[AugmentSpec] = [FlipSpec(), ShiftSpec(share=0.2), CropSpec(min_share=0.6), ColorSpec(), ErasingSpec()]
PICTURE = pixels(20, 30)
SCALED = PICTURE.astype(np.float32) / 255


def changed(specs: list[AugmentSpec], parameters: list[list[float]]) -> np.ndarray:
    images = np.stack([PICTURE] * len(parameters))
    return augment(images, np.array(parameters, np.float32), specs).numpy()


def test_without_changes_pictures_are_only_scaled() -> None:
    parameters = augment_parameters([], 0, 0, np.arange(2))
    assert parameters.shape == (2, 0)
    found = changed([], parameters.tolist())
    assert found.dtype == np.float32
    assert np.array_equal(found[0], SCALED)


def test_flip_mirrors_left_to_right() -> None:
    kept, mirrored = changed([FlipSpec()], [[0], [1]])
    assert np.array_equal(kept, SCALED)
    assert np.array_equal(mirrored, SCALED[:, ::-1])


def test_shift_moves_by_whole_pixels_and_repeats_the_border() -> None:
    (down_left,) = changed([ShiftSpec()], [[0.1, -0.1]])  # 2 rows down, 3 columns left
    assert np.array_equal(down_left[2:, :-3], SCALED[:-2, 3:])
    assert np.array_equal(down_left[:2, :-3], SCALED[:1, 3:].repeat(2, 0))
    assert np.array_equal(down_left[2:, -3:], SCALED[:-2, -1:].repeat(3, 1))


def test_crop_scales_a_part_to_the_full_size() -> None:
    whole, corner, last = changed([CropSpec()], [[1, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5]])
    assert np.allclose(whole, SCALED, atol=1e-6)
    assert np.allclose(corner[0, 0], SCALED[0, 0], atol=1e-6)
    assert np.allclose(corner[::2, ::2][:9, :14], SCALED[:9, :14], atol=1e-6)
    assert np.allclose(last[-1, -1], SCALED[-1, -1], atol=1e-6)


def test_a_crop_at_the_edge_has_no_black_border() -> None:
    specs = [CropSpec(min_share=0.3)]
    rows = np.arange(500)
    parameters = augment_parameters(specs, 0, 0, rows)
    parameters[:, 1:] = 1 - parameters[:, :1]  # all the way down and right
    white = np.full((500, 17, 23, 3), 255, np.uint8)
    assert augment(white, parameters, specs).numpy().min() > 0.999


def test_color_changes_brightness_contrast_and_saturation() -> None:
    same, bright, flat, grey = changed([ColorSpec()], [[0, 0, 0], [0.5, 0, 0], [0, -1, 0], [0, 0, -1]])
    assert np.allclose(same, SCALED, atol=1e-6)
    assert np.allclose(bright, np.clip(SCALED + 0.5, 0, 1), atol=1e-6)
    assert np.allclose(flat, SCALED.mean(axis=(0, 1)), atol=1e-5)
    luma = SCALED @ np.array([0.299, 0.587, 0.114], np.float32)
    assert np.allclose(grey, luma[..., None], atol=1e-5)
    assert bright.max() <= 1


def test_erasing_fills_a_box_with_one_color() -> None:
    (found, kept) = changed([ErasingSpec()], [[0.25, 0.5, 0.75, 0.9, 1, 0.5, 0], [0, 0, 0, 0, 1, 1, 1]])
    assert np.allclose(found[5:15, 15:27], [1, 0.5, 0], atol=1e-6)
    outside = np.ones((20, 30), np.bool_)
    outside[5:15, 15:27] = False
    assert np.allclose(found[outside], SCALED[outside], atol=1e-6)
    assert np.array_equal(kept, SCALED)


def test_mixup_blends_with_the_partner_as_it_is_after_its_own_changes() -> None:
    specs = [FlipSpec(), MixupSpec(), ColorSpec()]
    images = np.stack([PICTURE, 255 - PICTURE])
    parameters = np.array([[0, 0.75, 0, 0, 0], [1, 1, 0, 0, 0]], np.float32)
    first, second = augment(images, parameters, specs, Partners(images[[1, 0]], parameters[[1, 0]])).numpy()
    assert np.allclose(first, 0.75 * SCALED + 0.25 * (1 - SCALED)[:, ::-1], atol=1e-6)
    assert np.allclose(second, (1 - SCALED)[:, ::-1], atol=1e-6)
    assert own_shares(specs, parameters).tolist() == [0.75, 1]


def test_cutmix_pastes_a_box_of_the_partner_and_weighs_by_its_area() -> None:
    specs: list[AugmentSpec] = [CutmixSpec()]
    black, white = np.zeros((1, 20, 30, 3), np.uint8), np.full((1, 20, 30, 3), 255, np.uint8)
    parameters = np.array([[0.25, 0.5, 0.75, 0.9]], np.float32)
    (found,) = augment(black, parameters, specs, Partners(white, parameters)).numpy()
    assert found[5:15, 15:27].min() == pytest.approx(1, abs=1e-6)
    assert found.sum() == pytest.approx(10 * 12 * 3, rel=1e-6)
    drawn = augment_parameters(specs, 0, 0, np.arange(200))
    pasted = augment(np.repeat(black, 200, 0), drawn, specs, Partners(np.repeat(white, 200, 0), drawn)).numpy()
    assert np.allclose(own_shares(specs, drawn), 1 - pasted.mean(axis=(1, 2, 3)), atol=1e-5)


def test_the_draws_of_a_row_do_not_depend_on_its_place_or_company() -> None:
    together = augment_parameters(ALL, 3, 5, np.arange(1000))
    alone = np.concatenate([augment_parameters(ALL, 3, 5, np.array([row])) for row in (999, 0, 17)])
    assert np.array_equal(alone, together[[999, 0, 17]])
    assert together.shape == (1000, parameter_count(ALL))
    assert augment_parameters(ALL, 3, 5, np.array([-1, 2**62])).shape == (2, 16)


def test_a_row_is_changed_alike_in_any_batch() -> None:
    rows = np.arange(12)
    images = np.random.default_rng(0).integers(0, 256, (12, 20, 30, 3), np.uint8)
    graph = tf.function(lambda pictures, drawn: augment(pictures, drawn, ALL))
    whole = graph(images, augment_parameters(ALL, 1, 2, rows)).numpy()
    order = np.random.default_rng(1).permutation(12)[:5]
    part = graph(images[order], augment_parameters(ALL, 1, 2, rows[order])).numpy()
    assert np.array_equal(part, whole[order])


@pytest.mark.parametrize(("seed", "epoch"), [(1, 0), (0, 1), (1, 1), (2, 0)])
def test_seed_and_epoch_change_every_draw(seed: int, epoch: int) -> None:
    rows = np.arange(1000)
    base = augment_parameters(ALL[1:4], 0, 0, rows)
    other = augment_parameters(ALL[1:4], seed, epoch, rows)
    assert (base == other).mean() < 0.001
    # Seed 1 in epoch 0 is not seed 0 in epoch 1, nor another row's draw.
    assert not np.isin(other[:, 0], base[:, 0]).mean() > 0.01


def test_draws_are_spread_evenly_within_their_bounds() -> None:
    specs = [FlipSpec(probability=0.3), ShiftSpec(share=0.2), CropSpec(min_share=0.6), ColorSpec(brightness=0.4)]
    drawn = augment_parameters(specs, 0, 0, np.arange(100_000)).T
    flip, down, right, share, top, left, brightness = drawn[:7]
    assert set(np.unique(flip)) == {0, 1}
    assert flip.mean() == pytest.approx(0.3, abs=0.01)
    for values, low, high in ((down, -0.2, 0.2), (right, -0.2, 0.2), (share, 0.6, 1), (brightness, -0.4, 0.4)):
        assert (values.min(), values.max()) == pytest.approx((low, high), abs=0.001)
        histogram, _ = np.histogram(values, 10, (low, high))
        assert np.abs(histogram / 10_000 - 1).max() < 0.06
    assert (top + share).max() <= 1 + 1e-6
    assert (left + share).max() <= 1 + 1e-6
    assert np.abs(np.corrcoef(drawn[[1, 2, 3, 6]]) - np.eye(4)).max() < 0.02


PINNED = [
    [0.025038497522473335, 0.4341048300266266],
    [-0.4555363655090332, -0.027327610179781914],
    [-0.3145260810852051, -0.48274892568588257],
]


def test_the_draws_are_pinned() -> None:
    """A change here would make a resumed run augment otherwise than it began."""
    drawn = augment_parameters([ShiftSpec(share=0.5)], 7, 3, np.array([0, 1, 123_456_789]))
    assert drawn.tolist() == PINNED
