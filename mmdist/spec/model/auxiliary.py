"""What a model is trained for beside its task, and what it is made to do without."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["AlignmentSpec", "AuxiliarySpec", "ModalityDropoutSpec", "Rate"]

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class AlignmentSpec(Spec):
    """Contrastive alignment (InfoNCE, arXiv:1807.03748): a row's modalities are to know each other in the batch."""

    weight: PositiveFloat = 0.1
    """What the loss is multiplied by; a row counts in it where it has two modalities."""
    temperature: PositiveFloat = 0.1
    """What the cosines are divided by: the smaller, the more the nearest wrong rows count."""
    width: PositiveInt = 64
    """Width of the vectors that are compared."""


class AuxiliarySpec(Spec):
    """Losses that are added to the task's in training; the loss that is reported is the task's alone."""

    per_modality: NonNegativeFloat = 0.0
    """Weight of the task's own loss on a head of each modality, in the rows that have it."""
    alignment: AlignmentSpec | None = None


class ModalityDropoutSpec(Spec):
    """By modality, the share of the rows that have it which it is hidden from in training."""

    image: Rate = 0.0
    """Of the pictures."""
    text: Rate = 0.0
    """Of the texts."""
    audio: Rate = 0.0
    """Of the recordings."""
    tabular: Rate = 0.0
    """Of the records' fields."""
