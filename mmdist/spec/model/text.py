"""Text towers, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec, default_type

__all__ = ["BagSpec", "BiLSTMSpec", "TextTowerSpec"]


class BiLSTMSpec(Spec):
    """An embedding and a bidirectional LSTM; then a dense layer with ReLU."""

    type: Literal["bilstm"] = "bilstm"
    embedding: PositiveInt = 128
    """Width of a token's embedding."""
    lstm_units: PositiveInt = 64
    """Units of the LSTM in each direction."""
    units: PositiveInt = 64
    """Width of the dense layer."""


class BagSpec(Spec):
    """The sum of the tokens' embeddings (arXiv:1607.01759): fast, and hard to beat on short texts and little data."""

    type: Literal["bag"] = "bag"
    embedding: PositiveInt = 128
    """Width of a token's embedding."""
    units: PositiveInt | None = None
    """Width of a dense layer with ReLU after the sum; without it, the sum goes on as it is."""


TextTowerSpec = Annotated[BiLSTMSpec | BagSpec, Field(discriminator="type"), default_type("bilstm")]
