"""The changes that RandAugment draws from, inside TensorFlow's graph, for the whole batch at once.

Each picture of a batch has an operation of its own. The operations come in families (of places, of contrasts, of
levels), each of which changes the pictures that have one of it.

Ref: arXiv:1909.13719; the ranges are those of arXiv:1805.09501.
"""

import math
from typing import Any, NamedTuple

import tensorflow as tf

__all__ = ["OPERATIONS", "randaugment"]

OPERATIONS = (
    "none",
    "autocontrast",
    "equalize",
    "rotate",
    "solarize",
    "color",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""By number. Those whose level has a sign go either way."""

_LUMA = (0.299, 0.587, 0.114)
_MOST_RADIANS = math.radians(30)
_MOST_SHEAR = 0.3
_MOST_SHIFT = 0.45
_MOST_ENHANCEMENT = 0.9
_MOST_BITS_LOST = 4.0
_LEVELS = 256


def randaugment(pixels: Any, drawn: Any) -> Any:
    """Changes each picture by its own operations, one after the other.

    Args:
        pixels: float32 (B, H, W, 3) in [0, 1].
        drawn: float32 (B, 2 * operations): of each operation its number in `OPERATIONS`, and its level from -1 to 1.

    Returns:
        float32 (B, H, W, 3) in [0, 1].
    """
    for first in range(0, drawn.shape[1], 2):
        chosen = _Chosen(tf.cast(drawn[:, first], tf.int32), drawn[:, first + 1])
        places, changed = [], []
        for change, names in _FAMILIES.items():
            rows = tf.where(chosen.are(*names))[:, 0]
            places.append(rows)
            changed.append(change(tf.gather(pixels, rows), _Chosen(*(tf.gather(part, rows) for part in chosen))))
        pixels = tf.gather(tf.concat(changed, axis=0), tf.argsort(tf.concat(places, axis=0)))
    return pixels


class _Chosen(NamedTuple):
    """The operation of each picture."""

    number: Any
    level: Any

    def are(self, *names: str) -> Any:
        """bool (B,), whether it is one of these."""
        return tf.reduce_any([tf.equal(self.number, OPERATIONS.index(name)) for name in names], axis=0)

    def levels(self, name: str) -> Any:
        """float32 (B,), the level of the pictures that have the operation, 0 of others."""
        return tf.where(self.are(name), self.level, 0.0)

    def take(self, before: Any, after: Any, *names: str) -> Any:
        """What an operation has made of the pictures that have it."""
        return tf.where(self.are(*names)[:, None, None, None], after, before)


def _unchanged(pixels: Any, chosen: _Chosen) -> Any:
    return pixels


def _moved(pixels: Any, chosen: _Chosen) -> Any:
    """Rotated about the middle, sheared, or moved by a share of the side (bilinear)."""
    height, width = (tf.cast(tf.shape(pixels)[axis], tf.float32) for axis in (1, 2))
    angle = _MOST_RADIANS * chosen.levels("rotate")
    one = tf.ones_like(angle)
    # Where a pixel comes from: x' = a x + b y + c, y' = d x + e y + f.
    a, e = tf.cos(angle), tf.cos(angle)
    b = _MOST_SHEAR * chosen.levels("shear_x") - tf.sin(angle)
    d = _MOST_SHEAR * chosen.levels("shear_y") + tf.sin(angle)
    middle_x, middle_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    turned = tf.cast(chosen.are("rotate"), tf.float32)
    c = turned * (middle_x - a * middle_x - b * middle_y) + _MOST_SHIFT * width * chosen.levels("translate_x")
    f = turned * (middle_y - d * middle_x - e * middle_y) + _MOST_SHIFT * height * chosen.levels("translate_y")
    zero = tf.zeros_like(one)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=tf.shape(pixels)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _enhanced(pixels: Any, chosen: _Chosen) -> Any:
    """Nearer to, or further from, what has no color, no contrast, no light or no edges."""
    grey = tf.reduce_sum(pixels * tf.constant(_LUMA), axis=3, keepdims=True)
    dull = chosen.take(tf.zeros_like(pixels), tf.broadcast_to(grey, tf.shape(pixels)), "color")
    mean = tf.reduce_mean(grey, axis=(1, 2, 3), keepdims=True)
    dull = chosen.take(dull, tf.zeros_like(pixels) + mean, "contrast")
    dull = chosen.take(dull, _smooth(pixels), "sharpness")
    factor = 1.0 + _MOST_ENHANCEMENT * chosen.level
    return tf.clip_by_value(dull + factor[:, None, None, None] * (pixels - dull), 0.0, 1.0)


def _smooth(pixels: Any) -> Any:
    """The mean of a pixel, which counts 5 times, and its 8 neighbours; the border stays."""
    height, width = tf.shape(pixels)[1], tf.shape(pixels)[2]
    total = 4.0 * pixels[:, 1:-1, 1:-1]
    for down in range(3):
        for right in range(3):
            total += pixels[:, down : height - 2 + down, right : width - 2 + right]
    inner = tf.pad(total / 13.0, [[0, 0], [1, 1], [1, 1], [0, 0]])
    rows, columns = tf.range(height), tf.range(width)
    is_inner = ((rows > 0) & (rows < height - 1))[:, None] & ((columns > 0) & (columns < width - 1))[None, :]
    return tf.where(is_inner[None, :, :, None], inner, pixels)


def _with_new_levels(pixels: Any, chosen: _Chosen) -> Any:
    """Solarized, posterized or stretched."""
    size = tf.abs(chosen.level)[:, None, None, None]
    solarized = tf.where(pixels >= 1.0 - size, 1.0 - pixels, pixels)
    out = chosen.take(pixels, tf.where(size > 0, solarized, pixels), "solarize")
    step = tf.pow(2.0, tf.round(_MOST_BITS_LOST * size))
    posterized = tf.floor(tf.round(pixels * (_LEVELS - 1.0)) / step) * step / (_LEVELS - 1.0)
    out = chosen.take(out, posterized, "posterize")
    low, high = (reduce(pixels, axis=(1, 2), keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max))
    stretched = tf.where(high > low, tf.math.divide_no_nan(pixels - low, high - low), pixels)
    return chosen.take(out, stretched, "autocontrast")


def _equalized(pixels: Any, chosen: _Chosen) -> Any:
    """Each color's levels spread so that the shares of the pixels below them rise evenly from 0 to 1."""
    whole_levels = tf.cast(tf.round(pixels * (_LEVELS - 1.0)), tf.int32)
    shape = tf.shape(whole_levels)
    number = tf.range(shape[0])[:, None] * shape[3] + tf.range(shape[3])[None, :]
    place = number[:, None, None, :] * _LEVELS + whole_levels
    ones = tf.ones_like(tf.reshape(place, [-1]))
    counts = tf.math.unsorted_segment_sum(ones, tf.reshape(place, [-1]), shape[0] * shape[3] * _LEVELS)
    by_level = tf.reshape(counts, [shape[0], shape[3], _LEVELS])
    up_to = tf.cumsum(by_level, axis=2)
    least = tf.reduce_min(tf.where(up_to > 0, up_to, shape[1] * shape[2]), axis=2, keepdims=True)
    rest = tf.cast(shape[1] * shape[2] - least, tf.float32)
    table = tf.math.divide_no_nan(tf.cast(up_to - least, tf.float32), rest)
    found = tf.gather(tf.reshape(table, [-1]), place)
    # A color of one level has nothing to spread.
    return tf.where(tf.transpose(rest, [0, 2, 1])[:, :, None, :] > 0, found, pixels)


_FAMILIES = {
    _unchanged: ("none",),
    _moved: ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"),
    _enhanced: ("color", "contrast", "brightness", "sharpness"),
    _with_new_levels: ("solarize", "posterize", "autocontrast"),
    _equalized: ("equalize",),
}
"""Functions from pictures and what is chosen for them to new pictures, and the operations that each does."""
