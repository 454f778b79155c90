"""Random changes of training pictures and texts, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field

from mmdist.spec.base import Spec

__all__ = [
    "AugmentSpec",
    "ColorSpec",
    "CropSpec",
    "CutmixSpec",
    "ErasingSpec",
    "FlipSpec",
    "MixupSpec",
    "RandAugmentSpec",
    "ShiftSpec",
    "TextAugmentSpec",
    "WordDropoutSpec",
    "WordMaskingSpec",
]

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class FlipSpec(Spec):
    """Mirrors a picture left to right."""

    type: Literal["flip"] = "flip"
    probability: Share = 0.5
    """Share of the pictures that are mirrored."""


class ShiftSpec(Spec):
    """Moves a picture up, down, left or right; the border is repeated."""

    type: Literal["shift"] = "shift"
    share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    """Largest shift, as a share of the side."""


class CropSpec(Spec):
    """Cuts a random square-scaled part out and scales it back to the full size."""

    type: Literal["crop"] = "crop"
    min_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    """Smallest side of the part, as a share of the picture's side."""


class ColorSpec(Spec):
    """Changes brightness, contrast and saturation."""

    type: Literal["color"] = "color"
    brightness: Share = 0.1
    """Largest change of brightness, as a share of white."""
    contrast: Share = 0.1
    """Largest relative change of contrast."""
    saturation: Share = 0.1
    """Largest relative change of saturation."""


class ErasingSpec(Spec):
    """Covers a drawn rectangle of a picture with one drawn color (random erasing, arXiv:1708.04896)."""

    type: Literal["erasing"] = "erasing"
    probability: Share = 0.5
    """Share of the pictures that are changed."""
    max_share: Annotated[float, Field(ge=0.02, le=1.0)] = 0.4
    """Largest rectangle, as a share of the picture's area; the smallest is 0.02."""


class RandAugmentSpec(Spec):
    """A few of 14 changes, drawn for each picture, all of one strength (RandAugment, arXiv:1909.13719).

    None, autocontrast, equalize, rotate, solarize, color, posterize, contrast, brightness, sharpness, and shear and
    translate along either side. Where a picture is moved, its border is repeated.
    """

    type: Literal["randaugment"] = "randaugment"
    operations: Annotated[int, Field(ge=1, le=8)] = 2
    """Changes of each picture, one after the other."""
    magnitude: Annotated[float, Field(ge=0.0, le=10.0)] = 5.0
    """Strength. 10 is 30 degrees, a shear of 0.3, 0.45 of a side, 0.9 of brightness, contrast, color and sharpness,
    4 bits of each color, all but white solarized."""


class MixupSpec(Spec):
    """Blends a picture and its label with those of a partner (mixup, arXiv:1710.09412).

    The partner is another row of the same lane in the same batch. The text stays the row's own.
    """

    type: Literal["mixup"] = "mixup"
    probability: Share = 1.0
    """Share of the pictures that are mixed. A picture that is mixed already is not mixed again."""
    alpha: Annotated[float, Field(ge=0.01, le=10.0)] = 0.2
    """Both parameters of the Beta distribution that the row's own weight is drawn from."""


class CutmixSpec(Spec):
    """Puts a rectangle of a partner's picture into a picture; the label follows the area (CutMix, arXiv:1905.04899).

    The partner is another row of the same lane in the same batch. The text stays the row's own.
    """

    type: Literal["cutmix"] = "cutmix"
    probability: Share = 1.0
    """Share of the pictures that are mixed. A picture that is mixed already is not mixed again."""
    alpha: Annotated[float, Field(ge=0.01, le=10.0)] = 1.0
    """Both parameters of the Beta distribution that the row's own area is drawn from."""


AugmentSpec = Annotated[
    FlipSpec | ShiftSpec | CropSpec | ColorSpec | ErasingSpec | RandAugmentSpec | MixupSpec | CutmixSpec,
    Field(discriminator="type"),
]


class WordDropoutSpec(Spec):
    """Takes words out of a text, and closes the gaps (word dropout of deep averaging networks, Iyyer et al. 2015)."""

    type: Literal["word_dropout"] = "word_dropout"
    share: Share = 0.1
    """Share of the words; a text keeps one word at least. A word goes with its n-grams."""


class WordMaskingSpec(Spec):
    """Shows words as unknown ones (arXiv:1511.06349), so that a model learns to do with words it does not know."""

    type: Literal["word_masking"] = "word_masking"
    share: Share = 0.1
    """Share of the words. A word goes with its n-grams, each of which is shown as unknown."""


TextAugmentSpec = Annotated[WordDropoutSpec | WordMaskingSpec, Field(discriminator="type")]
