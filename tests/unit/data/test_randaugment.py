"""Each operation of RandAugment against a plain numpy one, picture by picture."""

import math

import numpy as np
import pytest
from pictures import pixels

tf = pytest.importorskip("tensorflow")

from mmdist.data.augmentation import augment  # noqa: E402
from mmdist.data.augmentation_draws import RANDAUGMENT_OPERATIONS, augment_parameters, parameter_count  # noqa: E402
from mmdist.data.randaugment import OPERATIONS, randaugment  # noqa: E402
from mmdist.spec.augment import FlipSpec, RandAugmentSpec  # noqa: E402

NOISE = np.random.default_rng(3).integers(0, 60, (20, 30, 3))
PICTURE = np.clip(pixels(20, 30) * 0.7 + NOISE + [5, 20, 40], 0, 255).round().astype(np.float32) / 255
LUMA = np.array([0.299, 0.587, 0.114])
LEVELS = (-1.0, -0.3, 0.0, 0.5, 1.0)


def changed(name: str, level: float, picture: np.ndarray = PICTURE) -> np.ndarray:
    drawn = np.array([[OPERATIONS.index(name), level]], np.float32)
    found: np.ndarray = randaugment(picture[None].astype(np.float32), tf.constant(drawn)).numpy()[0]
    return found


def sampled(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear, the border repeated."""
    height, width, _ = picture.shape
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    share_x, share_y = (x - left)[..., None], (y - top)[..., None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return picture[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]

    above = at(top, left) * (1 - share_x) + at(top, left + 1) * share_x
    below = at(top + 1, left) * (1 - share_x) + at(top + 1, left + 1) * share_x
    return above * (1 - share_y) + below * share_y


def moved(name: str, level: float) -> np.ndarray:
    height, width, _ = PICTURE.shape
    y, x = np.meshgrid(np.arange(height, dtype=float), np.arange(width, dtype=float), indexing="ij")
    if name == "rotate":
        angle = math.radians(30) * level
        across, down = x - (width - 1) / 2, y - (height - 1) / 2
        return sampled(
            PICTURE,
            math.cos(angle) * across - math.sin(angle) * down + (width - 1) / 2,
            math.sin(angle) * across + math.cos(angle) * down + (height - 1) / 2,
        )
    from_x = x + 0.3 * level * y * (name == "shear_x") + 0.45 * level * width * (name == "translate_x")
    from_y = y + 0.3 * level * x * (name == "shear_y") + 0.45 * level * height * (name == "translate_y")
    return sampled(PICTURE, from_x, from_y)


def enhanced(name: str, level: float) -> np.ndarray:
    grey = (PICTURE @ LUMA)[..., None]
    smooth = PICTURE.copy()
    for row in range(1, 19):
        for column in range(1, 29):
            part = PICTURE[row - 1 : row + 2, column - 1 : column + 2]
            smooth[row, column] = (part.sum(axis=(0, 1)) + 4 * PICTURE[row, column]) / 13
    dull = {"color": grey, "contrast": grey.mean(), "brightness": 0.0, "sharpness": smooth}[name]
    return np.clip(dull + (1 + 0.9 * level) * (PICTURE - dull), 0, 1)


def equalized(picture: np.ndarray) -> np.ndarray:
    out = picture.copy()
    for color in range(3):
        levels = np.round(picture[..., color] * 255)
        least = (levels == levels.min()).sum()
        for value in np.unique(levels):
            if least < levels.size:
                share = ((levels <= value).sum() - least) / (levels.size - least)
                out[..., color][levels == value] = share
    return out


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_moves(name: str, level: float) -> None:
    inside = (slice(1, -1), slice(1, -1))
    assert np.allclose(changed(name, level)[inside], moved(name, level)[inside], atol=2e-4)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["color", "contrast", "brightness", "sharpness"])
def test_enhancements(name: str, level: float) -> None:
    assert np.allclose(changed(name, level), enhanced(name, level), atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_levels(level: float) -> None:
    size = abs(level)
    inverted = np.where((size >= 1 - PICTURE) & (size > 0), 1 - PICTURE, PICTURE)
    borderline = np.abs(size - (1 - PICTURE)) < 1e-6
    assert np.allclose(changed("solarize", level)[~borderline], inverted[~borderline], atol=1e-6)
    step = 2 ** round(4 * size)
    assert np.allclose(changed("posterize", level), np.round(PICTURE * 255) // step * step / 255, atol=1e-6)
    low, high = PICTURE.min(axis=(0, 1)), PICTURE.max(axis=(0, 1))
    assert np.allclose(changed("autocontrast", level), (PICTURE - low) / (high - low), atol=1e-6)
    assert np.allclose(changed("equalize", level), equalized(PICTURE), atol=1e-6)
    assert np.array_equal(changed("none", level), PICTURE)


def test_a_picture_of_one_color_stays_one() -> None:
    plain = np.full((8, 8, 3), 0.25, np.float32)
    for name in OPERATIONS:
        found = changed(name, 0.5, plain)
        assert np.isfinite(found).all(), name
        assert np.ptp(found, axis=(0, 1)).max() < 1e-6, name
    for name in ("autocontrast", "equalize"):
        assert np.array_equal(changed(name, 0.5, plain), plain)


def test_each_picture_of_a_batch_has_operations_of_its_own_in_their_order() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 12, 10, 3), np.uint8)
    specs = [FlipSpec(), RandAugmentSpec(operations=3, magnitude=7)]
    assert parameter_count(specs) == 7
    rows = np.arange(100, 116)
    graph = tf.function(lambda pictures, drawn: augment(pictures, drawn, specs))
    whole = graph(images, augment_parameters(specs, 1, 2, rows)).numpy()
    order = rng.permutation(16)[:5]
    part = graph(images[order], augment_parameters(specs, 1, 2, rows[order])).numpy()
    assert np.allclose(part, whole[order], atol=1e-6)
    assert whole.min() >= 0
    assert whole.max() <= 1
    drawn = augment_parameters(specs, 1, 2, rows)[3]
    alone = images[3].astype(np.float32) / 255
    alone = alone[:, ::-1] if drawn[0] else alone
    for number, level in drawn[1:].reshape(3, 2):
        alone = changed(OPERATIONS[int(number)], float(level), alone)
    assert np.allclose(whole[3], alone, atol=1e-5)


def test_operations_are_drawn_evenly_and_go_either_way() -> None:
    assert len(OPERATIONS) == RANDAUGMENT_OPERATIONS
    drawn = augment_parameters([RandAugmentSpec(operations=2, magnitude=4)], 0, 0, np.arange(28_000))
    counts = np.bincount(drawn[:, [0, 2]].astype(int).ravel(), minlength=14)
    assert np.abs(counts / 4000 - 1).max() < 0.06
    assert set(np.unique(drawn[:, [1, 3]])) == {np.float32(-0.4), np.float32(0.4)}
    assert drawn[:, 1].mean() == pytest.approx(0, abs=0.01)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 0.02
    other = augment_parameters([RandAugmentSpec(operations=2, magnitude=4)], 0, 1, np.arange(28_000))
    assert (drawn[:, 0] == other[:, 0]).mean() == pytest.approx(1 / 14, abs=0.01)
