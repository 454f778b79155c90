"""How the contestants on tf.data decode a batch of JPEGs, and run their pipelines."""

from collections.abc import Callable

import tensorflow as tf


def decoder(side: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Decodes encoded pictures, strings (B,), to uint8 (B, side, side, 3)."""

    def decode(batch: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda data: tf.ensure_shape(tf.io.decode_jpeg(data, 3), (side, side, 3)),
            batch,
            fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8),
        )

    return decode


def without_autotune(data: tf.data.Dataset) -> tf.data.Dataset:
    """Prefetches four batches, with the parallelism as it is stated: autotuning stalls at the end of data."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.prefetch(4).with_options(options)
