"""The parts of a model, and which of them makes something that is no number."""

from collections.abc import Sequence
from typing import Any

import keras

from mmdist.models.layers import TowerOutput

__all__ = ["part_of", "towers_of", "watched", "where_broken"]

SUFFIX = "_tower"


def part_of(variable: Any) -> str:
    """The part of the model that a variable belongs to, such as `image_tower`."""
    return str(variable.path.split("/")[0])


def towers_of(model: Any) -> tuple[str, ...]:
    """The parts of a model that have weights to train."""
    return tuple(dict.fromkeys(part_of(variable) for variable in model.trainable_variables))


def watched(model: Any) -> Any:
    """A model of the same layers and inputs that also shows what its towers make of the rows.

    Returns:
        A keras.Model of two outputs: the model's own, and by tower its pooled output, float (B, D).
    """
    towers = [layer for layer in model.layers if layer.name.endswith(SUFFIX)]
    return keras.Model(model.input, (model.output, {tower.name: TowerOutput(*tower.output).pooled for tower in towers}))


def where_broken(outputs: Sequence[str], gradients: Sequence[str], parts: Sequence[str]) -> str:
    """Where a step stopped being finite, in words: as far forward as it can be told.

    Args:
        outputs: Towers whose outputs are not finite.
        gradients: Parts whose gradients are not finite. A loss that is no number makes all of them so.
        parts: All parts that have gradients.
    """
    if outputs:
        return f"the output of {' and '.join(outputs)}"
    if not gradients:
        return "the loss"
    return f"the gradient of {' and '.join(gradients) if len(gradients) < len(parts) else 'every part of the model'}"
