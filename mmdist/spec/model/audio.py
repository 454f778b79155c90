"""Towers for recordings, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import default_type
from mmdist.spec.model.tower import TowerSpec

__all__ = ["AudioCNNSpec", "AudioTowerSpec", "AudioTransformerSpec"]


class AudioCNNSpec(TowerSpec):
    """3x3 convolutions over the spectrogram, each with 2x2 max-pooling; then the mean over time and a dense layer."""

    type: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (16, 32, 64)
    """Filters of each convolution."""
    units: PositiveInt = 64
    """Width of the dense layer."""


class AudioTransformerSpec(TowerSpec):
    """A Transformer over patches of the spectrogram (arXiv:2104.01778); then the mean and a dense layer."""

    type: Literal["transformer"] = "transformer"
    patch: tuple[PositiveInt, PositiveInt] = (16, 16)
    """Windows and bands of a patch; silence fills the last ones up."""
    depth: PositiveInt = 2
    """Blocks of attention and a network of two layers."""
    width: PositiveInt = 64
    """Width of a token; a multiple of `heads`."""
    heads: PositiveInt = 4
    """Heads of the attention."""
    units: PositiveInt = 64
    """Width of the dense layer."""


AudioTowerSpec = Annotated[AudioCNNSpec | AudioTransformerSpec, Field(discriminator="type"), default_type("cnn")]
