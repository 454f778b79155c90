"""Undoes a step that diverged, inside the graph."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

__all__ = ["Undo"]


class Undo:
    """Brings variables back, inside the graph, to what they were before a step that diverged.

    It costs a copy of each variable per step, so that only jobs that ask for it have one.

    Args:
        strategy: All replicas of all workers.
        variables: Keras variables, made under the strategy: all that a step changes, batch statistics and seeds too.
    """

    def __init__(self, strategy: Any, variables: Sequence[Any]) -> None:
        self._parts = [part for each in variables for part in strategy.experimental_local_results(each.value)]

    def take(self) -> list[Any]:
        """The values now."""
        return [tf.identity(part) for part in self._parts]

    def give_back(self, kept: Sequence[Any], diverged: Any) -> None:
        """Assigns the values that were taken, where `diverged` (a bool scalar) is true."""
        for part, value in zip(self._parts, kept, strict=True):
            part.assign(tf.where(diverged, value, part))
