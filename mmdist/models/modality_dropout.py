"""Hides modalities from the model in training, so that it learns to do with those that are left."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mmdist.models.draws import RandomLayer

__all__ = ["ModalityDropout"]

# B batch, M modalities


class ModalityDropout(RandomLayer):
    """Declares a present modality absent in a share of the rows; a row's last one stays.

    Where all that a row has would be hidden, the one that was drawn furthest from it stays: with equal rates each
    alike.

    Args:
        rates: By modality, the share of rows, in [0, 1).
        seed: The job's seed.

    Ref: arXiv:1501.00102 (dropping whole modalities).
    """

    def __init__(self, rates: Mapping[str, float], *, seed: int) -> None:
        super().__init__(seed=seed, name="modality_dropout")
        self.rates = dict(rates)

    def call(self, present: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """By modality bool (B,), whether a row has it: the same, of those that the model is shown."""
        if not training:
            return dict(present)
        present_BM = tf.stack(list(present.values()), axis=1)
        # A rate of 0 hides nothing: the margin stays above 1 whatever is drawn.
        margins = [1.0 / rate if rate else float("inf") for rate in (self.rates[name] for name in present)]
        drawn_BM = 1.0 - self.draw(tf.shape(present_BM))
        margin_BM = tf.where(present_BM, drawn_BM * tf.constant(margins, tf.float32), -1.0)
        is_best_BM = tf.one_hot(tf.argmax(margin_BM, axis=1), len(present), on_value=True, off_value=False)
        kept_BM = present_BM & ((margin_BM > 1.0) | is_best_BM)
        return dict(zip(present, tf.unstack(kept_BM, axis=1), strict=True))

    def compute_output_spec(self, present: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """What is shown has the shape of what is there."""
        return {name: keras.KerasTensor(each.shape, "bool") for name, each in present.items()}
