"""Random changes of training pictures. Chance is a function of (seed, epoch, row): never of place, batch or restart.

The parameters are drawn on the host, with numpy; the pixels are changed inside TensorFlow's graph, for the whole
batch at once. This is the only file of mmdist.data that imports TensorFlow.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmdist.spec.data import AugmentSpec, ColorSpec, CropSpec, FlipSpec, ShiftSpec

__all__ = ["augment", "augment_parameters", "parameter_count"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LUMA = (0.299, 0.587, 0.114)


def parameter_count(specs: Sequence[AugmentSpec]) -> int:
    """P, the numbers that one picture's changes take."""
    return sum(_draws(spec) for spec in specs)


def augment_parameters(
    specs: Sequence[AugmentSpec], seed: int, epoch: int, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Draws the parameters of a batch's changes.

    Args:
        specs: The changes, in their order.
        seed: The job's seed.
        epoch: The epoch, from 0.
        rows: int64 (B,), the rows' numbers in the dataset; padding may have any number.

    Returns:
        float32 (B, P): per change its draws, scaled as the change needs them.
    """
    columns: list[npt.NDArray[np.float64]] = []
    draws = _uniform(seed, epoch, rows, parameter_count(specs))
    for spec in specs:
        start = len(columns)
        drawn = [draws[:, start + number] for number in range(_draws(spec))]
        match spec:
            case FlipSpec():
                columns.append((drawn[0] < spec.probability).astype(np.float64))
            case ShiftSpec():
                columns.extend((2 * draw - 1) * spec.share for draw in drawn)
            case CropSpec():
                share = spec.min_share + (1 - spec.min_share) * drawn[0]
                columns.extend((share, drawn[1] * (1 - share), drawn[2] * (1 - share)))
            case ColorSpec():
                largest = (spec.brightness, spec.contrast, spec.saturation)
                columns.extend((2 * draw - 1) * most for draw, most in zip(drawn, largest, strict=True))
            case _:
                assert_never(spec)
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(rows), 0), np.float32)


def augment(images: Any, parameters: Any, specs: Sequence[AugmentSpec]) -> Any:
    """Changes pictures, in the graph. Without specs it only scales them.

    Args:
        images: uint8 (B, H, W, 3).
        parameters: float32 (B, P) of `augment_parameters` for the same specs.
        specs: The changes, applied in this order.

    Returns:
        float32 (B, H, W, 3) in [0, 1].
    """
    pixels = tf.cast(images, tf.float32) / 255.0
    start = 0
    for spec in specs:
        drawn = parameters[:, start : start + _draws(spec)]
        start += _draws(spec)
        match spec:
            case FlipSpec():
                pixels = tf.where(drawn[:, 0, None, None, None] > 0.5, tf.reverse(pixels, [2]), pixels)
            case ShiftSpec():
                pixels = _shift(pixels, drawn)
            case CropSpec():
                pixels = _crop(pixels, drawn)
            case ColorSpec():
                pixels = _color(pixels, drawn)
            case _:
                assert_never(spec)
    return pixels


def _shift(pixels: Any, shares: Any) -> Any:
    """Moves down and right by shares (B, 2) of the sides, to whole pixels; the border is repeated."""
    for axis in (1, 2):
        side = tf.shape(pixels)[axis]
        moved = tf.cast(tf.round(shares[:, axis - 1] * tf.cast(side, tf.float32)), tf.int32)
        source = tf.clip_by_value(tf.range(side)[None, :] - moved[:, None], 0, side - 1)
        pixels = tf.gather(pixels, source, axis=axis, batch_dims=1)
    return pixels


def _crop(pixels: Any, parts: Any) -> Any:
    """Scales a part of each picture, (B, 3) of share, top and left, to the full size (bilinear)."""
    shape = tf.shape(pixels)
    last_row = tf.cast(shape[1] - 1, tf.float32)
    last_column = tf.cast(shape[2] - 1, tf.float32)
    share, none = parts[:, 0], tf.zeros_like(parts[:, 0])
    transforms = tf.stack(
        [share, none, parts[:, 2] * last_column, none, share, parts[:, 1] * last_row, none, none], axis=1
    )
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels,
        transforms=transforms,
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",  # rounding may point a hair outside; that must not turn a border black
    )


def _color(pixels: Any, changes: Any) -> Any:
    """Adds brightness, scales contrast about each channel's mean, and saturation about grey: (B, 3) changes."""
    brightness, contrast, saturation = (changes[:, number, None, None, None] for number in range(3))
    pixels = pixels + brightness
    mean = tf.reduce_mean(pixels, axis=(1, 2), keepdims=True)
    pixels = mean + (pixels - mean) * (1.0 + contrast)
    grey = tf.reduce_sum(pixels * tf.constant(_LUMA), axis=3, keepdims=True)
    pixels = grey + (pixels - grey) * (1.0 + saturation)
    return tf.clip_by_value(pixels, 0.0, 1.0)


def _draws(spec: AugmentSpec) -> int:
    match spec:
        case FlipSpec():
            return 1
        case ShiftSpec():
            return 2
        case CropSpec() | ColorSpec():
            return 3
        case _:
            assert_never(spec)


def _uniform(seed: int, epoch: int, rows: npt.NDArray[np.int64], draws: int) -> npt.NDArray[np.float64]:
    """float64 (B, draws) in [0, 1): a hash of (seed, epoch, row, draw), so draws depend on nothing else."""
    key = _mix(_mix(np.array([seed], np.uint64)) + np.uint64(epoch))
    by_row = _mix(key + rows.astype(np.uint64) * _GOLDEN)
    by_draw = _mix(by_row[:, None] + (np.arange(draws, dtype=np.uint64) + np.uint64(1))[None, :] * _GOLDEN)
    return (by_draw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014) after its additive step."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
