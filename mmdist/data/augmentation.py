"""Random changes of training pictures, inside TensorFlow's graph, for the whole batch at once.

What chance decides is drawn before, in `augmentation_draws`. Of mmdist.data, this file and `randaugment` alone import
TensorFlow.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, assert_never

import tensorflow as tf

from mmdist.data.augmentation_draws import parameter_count
from mmdist.data.randaugment import randaugment
from mmdist.spec.augment import (
    AugmentSpec,
    ColorSpec,
    CropSpec,
    CutmixSpec,
    ErasingSpec,
    FlipSpec,
    MixupSpec,
    RandAugmentSpec,
    ShiftSpec,
)

__all__ = ["Partners", "augment"]

_LUMA = (0.299, 0.587, 0.114)


class Partners(NamedTuple):
    """Whom the rows of a batch are mixed with, by place."""

    images: Any
    """uint8 (B, H, W, 3)."""
    parameters: Any
    """float32 (B, P), the partners' own."""


def augment(images: Any, parameters: Any, specs: Sequence[AugmentSpec], partners: Partners | None = None) -> Any:
    """Changes pictures, in the graph. Without specs it only scales them.

    Args:
        images: uint8 (B, H, W, 3).
        parameters: float32 (B, P) of `augment_parameters` for the same specs.
        specs: The changes, applied in this order; a partner goes through those before it is mixed in.
        partners: Needed where a change mixes pictures.

    Returns:
        float32 (B, H, W, 3) in [0, 1].
    """
    pixels = tf.cast(images, tf.float32) / 255.0
    others = tf.cast(partners.images, tf.float32) / 255.0 if partners is not None else None
    start = 0
    for spec in specs:
        part = slice(start, start + parameter_count([spec]))
        start = part.stop
        drawn = parameters[:, part]
        match spec:
            case MixupSpec():
                share = drawn[:, 0, None, None, None]
                pixels = share * pixels + (1.0 - share) * others
            case CutmixSpec():
                inside = _coverage(pixels, drawn)
                pixels = (1.0 - inside) * pixels + inside * others
            case FlipSpec() | ShiftSpec() | CropSpec() | ColorSpec() | ErasingSpec() | RandAugmentSpec():
                pixels = _change(spec, pixels, drawn)
                if partners is not None:  # what follows the last mixing is used by nothing: the graph leaves it out
                    others = _change(spec, others, partners.parameters[:, part])
            case _:
                assert_never(spec)
    return pixels


_OnePicture = FlipSpec | ShiftSpec | CropSpec | ColorSpec | ErasingSpec | RandAugmentSpec


def _change(spec: _OnePicture, pixels: Any, drawn: Any) -> Any:
    match spec:
        case FlipSpec():
            return tf.where(drawn[:, 0, None, None, None] > 0.5, tf.reverse(pixels, [2]), pixels)
        case ShiftSpec():
            return _shift(pixels, drawn)
        case CropSpec():
            return _crop(pixels, drawn)
        case ColorSpec():
            return _color(pixels, drawn)
        case ErasingSpec():
            inside = _coverage(pixels, drawn[:, :4])
            return (1.0 - inside) * pixels + inside * drawn[:, None, None, 4:]
        case RandAugmentSpec():
            return randaugment(pixels, drawn)
        case _:
            assert_never(spec)


def _coverage(pixels: Any, box: Any) -> Any:
    """How much of each pixel lies in the box, (B, 4) of top, left, bottom and right: float32 (B, H, W, 1) in [0, 1].

    Its mean is the box's area to the last digit, so a label's weight is exactly the share of the picture.
    """
    lines = []
    for axis in (0, 1):
        side = tf.shape(pixels)[1 + axis]
        start = tf.cast(tf.range(side), tf.float32)[None, :]
        first, last = (box[:, axis + edge, None] * tf.cast(side, tf.float32) for edge in (0, 2))
        lines.append(tf.clip_by_value(tf.minimum(start + 1.0, last) - tf.maximum(start, first), 0.0, 1.0))
    return (lines[0][:, :, None] * lines[1][:, None, :])[..., None]


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
