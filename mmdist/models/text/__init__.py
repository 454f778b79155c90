"""Towers for texts: the one place that turns a spec into a tower."""

from typing import assert_never

from mmdist.models.text.bag import BagTower
from mmdist.models.text.bert import BERTTower
from mmdist.models.text.bilstm import BiLSTMTower
from mmdist.models.text.transformer import TextTransformerTower
from mmdist.spec.model import BagSpec, BERTSpec, BiLSTMSpec, RegularizationSpec, TextTowerSpec, TextTransformerSpec

__all__ = ["BERTTower", "BagTower", "BiLSTMTower", "TextTransformerTower", "build_text_tower"]


def build_text_tower(
    spec: TextTowerSpec, *, regularization: RegularizationSpec, vocabulary: int, seed: int
) -> BagTower | BiLSTMTower | TextTransformerTower | BERTTower:
    """The tower that the spec's `type` names."""
    match spec:
        case BiLSTMSpec():
            return BiLSTMTower(spec, regularization=regularization, vocabulary=vocabulary, seed=seed)
        case BagSpec():
            return BagTower(spec, regularization=regularization, vocabulary=vocabulary, seed=seed)
        case TextTransformerSpec():
            return TextTransformerTower(spec, regularization=regularization, vocabulary=vocabulary, seed=seed)
        case BERTSpec():
            return BERTTower(spec, regularization=regularization, vocabulary=vocabulary, seed=seed)
        case _:
            assert_never(spec)
