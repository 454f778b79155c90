"""Beam search: the most probable sentences, found token by token. No weights and no randomness."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["beam_search"]

# B rows, K beams, R = B * K sentences, L tokens, V tokens that can be said

_NEVER = -1e9
"""Log-probability of what must not be said; finite, so that sums of it stay numbers."""


def beam_search(
    logits_at: Callable[[Any, Any], Any],
    *,
    rows: Any,
    tokens: int,
    classes: int,
    beams: int,
    length_penalty: float,
) -> tuple[Any, Any]:
    """The best sentence of each row. Of equally good ones, the one whose tokens have smaller numbers is taken first.

    A sentence has at least one token before its end. While it searches, it keeps the K sentences with the largest
    log-probability; at the end it takes the one where this, divided by `((5 + tokens) / 6) ** length_penalty`, is
    largest.

    Args:
        logits_at: From a place, int32 (), and sentences so far, int32 (R, L): logits float32 (R, V) of the token there.
        rows: B.
        tokens: L; a sentence of so many tokens needs no end.
        classes: V; the last one is the end.
        beams: K; with 1, each token is the most probable one.
        length_penalty: 0 for none.

    Returns:
        tokens int32 (B, L), the end among them and 0 behind it, and their log-probability float32 (B,).

    Ref: arXiv:1609.08144 (length penalty).
    """
    empty_V = np.zeros(classes, np.float32)
    empty_V[-1] = _NEVER
    # A sentence that has ended goes on with padding, at no cost.
    ended_V = np.full(classes, _NEVER, np.float32)
    ended_V[0] = 0.0

    def is_open(place: Any, sentences_BKL: Any, scores_BK: Any, ended_BK: Any) -> Any:
        return tf.logical_and(place < tokens, tf.logical_not(tf.reduce_all(ended_BK)))

    def go_on(place: Any, sentences_BKL: Any, scores_BK: Any, ended_BK: Any) -> tuple[Any, Any, Any, Any]:
        logits_RV = logits_at(place, tf.reshape(sentences_BKL, [-1, tokens]))
        next_BKV = tf.reshape(tf.nn.log_softmax(logits_RV), [-1, beams, classes])
        next_BKV += tf.where(place == 0, empty_V, tf.zeros_like(empty_V))
        next_BKV = tf.where(ended_BK[:, :, None], ended_V, next_BKV)
        totals_BN = tf.reshape(scores_BK[:, :, None] + next_BKV, [-1, beams * classes])
        scores_BK, best_BK = tf.math.top_k(totals_BN, beams)
        parent_BK, token_BK = best_BK // classes, best_BK % classes
        sentences_BKL = tf.gather(sentences_BKL, parent_BK, batch_dims=1)
        sentences_BKL += token_BK[:, :, None] * tf.one_hot(place, tokens, dtype=tf.int32)
        ended_BK = tf.logical_or(tf.gather(ended_BK, parent_BK, batch_dims=1), token_BK == classes - 1)
        return place + 1, sentences_BKL, scores_BK, ended_BK

    first_K = np.where(np.arange(beams) == 0, 0.0, _NEVER).astype(np.float32)
    shapes = [(), (None, beams, tokens), (None, beams), (None, beams)]
    _, sentences_BKL, scores_BK, _ = tf.while_loop(
        is_open,
        go_on,
        [
            tf.constant(0),
            tf.zeros([rows, beams, tokens], tf.int32),
            tf.tile(first_K[None], [rows, 1]),
            tf.zeros([rows, beams], tf.bool),
        ],
        shape_invariants=[tf.TensorShape(shape) for shape in shapes],
    )
    lengths_BK = tf.cast(tf.math.count_nonzero(sentences_BKL, axis=-1), tf.float32)
    best_B = tf.argmax(scores_BK / ((5.0 + lengths_BK) / 6.0) ** length_penalty, axis=1)
    return tf.gather(sentences_BKL, best_B, batch_dims=1), tf.gather(scores_BK, best_B, batch_dims=1)
