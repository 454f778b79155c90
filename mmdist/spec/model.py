"""The model section: towers, fusion and regularization, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec

__all__ = [
    "BiLSTMSpec",
    "CNNSpec",
    "ConcatSpec",
    "FusionSpec",
    "ImageTowerSpec",
    "ModelSpec",
    "RegularizationSpec",
    "TextTowerSpec",
]


class CNNSpec(Spec):
    """3x3 convolutions with ReLU, each followed by 2x2 max-pooling; then flatten and a dense layer."""

    type: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (32, 64, 128)
    """Filters of each convolution."""
    units: PositiveInt = 128
    """Width of the dense layer."""


ImageTowerSpec = CNNSpec


class BiLSTMSpec(Spec):
    """An embedding and a bidirectional LSTM; then a dense layer with ReLU."""

    type: Literal["bilstm"] = "bilstm"
    embedding: PositiveInt = 128
    """Width of a token's embedding."""
    lstm_units: PositiveInt = 64
    """Units of the LSTM in each direction."""
    units: PositiveInt = 64
    """Width of the dense layer."""


TextTowerSpec = BiLSTMSpec


class ConcatSpec(Spec):
    """Concatenates the towers' pooled vectors."""

    type: Literal["concat"] = "concat"


FusionSpec = ConcatSpec


class RegularizationSpec(Spec):
    """What holds the weights back, alike in every tower and in the head."""

    l1: Annotated[float, Field(ge=0.0)] = 0.0
    """L1 penalty on the kernels of convolutions and dense layers."""
    l2: Annotated[float, Field(ge=0.0)] = 0.0
    """L2 penalty on the kernels of convolutions and dense layers."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of units dropped after each tower and after the fusion, in training."""


class ModelSpec(Spec):
    """The model: a tower per modality whose column is named in `data.columns`, a fusion, the task's head."""

    image: ImageTowerSpec = CNNSpec()
    text: TextTowerSpec = BiLSTMSpec()
    fusion: FusionSpec = ConcatSpec()
    regularization: RegularizationSpec = RegularizationSpec()
