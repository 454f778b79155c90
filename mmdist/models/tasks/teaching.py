"""Losses that teach otherwise than they judge: smoothed, focal and weighted cross-entropies."""

from typing import Any

import keras

__all__ = ["sigmoid_losses", "softmax_losses"]

# B batch, C labels

_LEAST_MISS = 1e-7
"""Least 1 - p: below it a power of it has no usable slope."""


def softmax_losses(logits_BC: Any, label_B: Any, *, smoothing: float, gamma: float) -> Any:
    """Smoothed and focal cross-entropy of one label per row.

    Of each label c with the smoothed share y and the probability p, the row's loss has y * (1 - p)^gamma * -log p.

    Args:
        logits_BC: float32 (B, C).
        label_B: int (B,) in [0, C).
        smoothing: Share of the label that is spread over all C labels (arXiv:1512.00567).
        gamma: Power of the focal loss (arXiv:1708.02002); 0 leaves it out.

    Returns:
        float32 (B,).
    """
    labels = logits_BC.shape[-1]
    share_BC = keras.ops.one_hot(label_B, labels, dtype="float32") * (1.0 - smoothing) + smoothing / labels
    log_p_BC = keras.ops.log_softmax(logits_BC, axis=-1)
    return keras.ops.sum(share_BC * _focal(log_p_BC, gamma), axis=-1)


def sigmoid_losses(
    logits_BC: Any, marks_BC: Any, *, smoothing: float, gamma: float, positive_weights_C: Any = None
) -> Any:
    """Smoothed, focal and weighted binary cross-entropy, the mean over the labels of a row.

    Args:
        logits_BC: float32 (B, C).
        marks_BC: float32 (B, C), 1 for each label of the row.
        smoothing: How far marks are moved towards a half: 1 becomes 1 - smoothing / 2.
        gamma: Power of the focal loss (arXiv:1708.02002); 0 leaves it out.
        positive_weights_C: float32 (C,), what the part of a mark is multiplied by; None leaves it as it is.

    Returns:
        float32 (B,).
    """
    share_BC = marks_BC * (1.0 - smoothing) + smoothing / 2.0
    has_BC = share_BC * _focal(keras.ops.log_sigmoid(logits_BC), gamma)
    lacks_BC = (1.0 - share_BC) * _focal(keras.ops.log_sigmoid(-logits_BC), gamma)
    if positive_weights_C is not None:
        has_BC = has_BC * positive_weights_C
    return keras.ops.mean(has_BC + lacks_BC, axis=-1)


def _focal(log_p: Any, gamma: float) -> Any:
    """(1 - p)^gamma * -log p."""
    if gamma == 0.0:
        return -log_p
    miss = keras.ops.maximum(-keras.ops.expm1(log_p), _LEAST_MISS)
    return keras.ops.power(miss, gamma) * -log_p
