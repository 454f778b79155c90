"""Text towers, each chosen by its type."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import default_type
from mmdist.spec.model.image.base import Rate
from mmdist.spec.model.pretrained import PretrainedSpec
from mmdist.spec.model.tower import TowerSpec

__all__ = ["BERTSpec", "BagSpec", "BiLSTMSpec", "TextTowerSpec", "TextTransformerSpec"]


class BiLSTMSpec(TowerSpec):
    """An embedding and a bidirectional LSTM; then a dense layer with ReLU."""

    type: Literal["bilstm"] = "bilstm"
    embedding: PositiveInt = 128
    """Width of a token's embedding."""
    lstm_units: PositiveInt = 64
    """Units of the LSTM in each direction."""
    units: PositiveInt = 64
    """Width of the dense layer."""


class BagSpec(TowerSpec):
    """The sum of the tokens' embeddings (arXiv:1607.01759): fast, and hard to beat on short texts and little data."""

    type: Literal["bag"] = "bag"
    embedding: PositiveInt = 128
    """Width of a token's embedding."""
    units: PositiveInt | None = None
    """Width of a dense layer with ReLU after the sum; without it, the sum goes on as it is."""


class TextTransformerSpec(TowerSpec):
    """A Transformer's encoder (arXiv:1706.03762), learned from nothing; then the mean and a dense layer with ReLU."""

    type: Literal["transformer"] = "transformer"
    depth: PositiveInt = 2
    """Blocks of attention and a network of two layers."""
    width: PositiveInt = 128
    """Width of a token; a multiple of `heads`."""
    heads: PositiveInt = 4
    """Heads of the attention."""
    positions: Literal["learned", "sinusoidal"] = "learned"
    """How a token's place is told: by a vector that is learned for each place, or by sines that are given."""
    dropout: Rate = 0.0
    """Share of what each block adds that is dropped, in training."""
    stochastic_depth: Rate = 0.0
    """Share of the rows that leave the last block out, in training; earlier blocks are left out less."""
    units: PositiveInt | None = 64
    """Width of the dense layer; null leaves it out, and the mean goes on as it is."""


class BERTSpec(PretrainedSpec):
    """An encoder as BERT has it (arXiv:1810.04805), to start from published weights; then the mean of all tokens.

    The sizes are those of MiniLM-L6 unless you name others; a `config.json` beside the weights must agree with them.
    """

    type: Literal["bert"] = "bert"
    weights: str | None = None
    """File of pretrained weights (`.safetensors`, named as in PyTorch): a path, a URL, or `package:NAME/PATH` inside an
    installed Python package. Without it, the encoder starts at random. With it, `data.text.tokenizer` must be the one
    that was published with the weights (`type: file`)."""
    depth: PositiveInt = 6
    """Blocks of attention and a network of two layers; `num_hidden_layers` in a `config.json`."""
    width: PositiveInt = 384
    """Width of a token, a multiple of `heads`; `hidden_size`."""
    heads: PositiveInt = 12
    """Heads of the attention; `num_attention_heads`."""
    expansion: PositiveInt = 4
    """Width of the hidden layer of each block's network, in `width`; `intermediate_size` over `hidden_size`."""
    dropout: Rate = 0.1
    """Share of the embeddings, and of what each part of a block adds, that is dropped while the encoder learns."""
    units: PositiveInt | None = None
    """Width of a dense layer with ReLU after the mean; without it, the mean goes on as it is."""


TextTowerSpec = Annotated[
    BiLSTMSpec | BagSpec | TextTransformerSpec | BERTSpec, Field(discriminator="type"), default_type("bilstm")
]
