"""Text towers, each chosen by its type."""

from typing import Literal

from pydantic import PositiveInt

from mmdist.spec.base import Spec

__all__ = ["BiLSTMSpec", "TextTowerSpec"]


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
