"""Strategies over the logical CPU devices, made once per process: a second one would take the first one's keys of
collectives again."""

from functools import cache

import tensorflow as tf


@cache
def strategy_over(replicas: int) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)])
