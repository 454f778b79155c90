"""Holds the sizes of a job's encoder to the `config.json` that was published with its weights."""

import json
from typing import Any

from mmdist.errors import DataRefusedError, Place, ResourceError
from mmdist.models.pretrained.sources import FileKind, fetch_file
from mmdist.spec.model import BERTSpec

__all__ = ["check_layout"]

_CONFIG = FileKind("the encoder's `config.json`", "the `config.json` of the encoder", "weights")
_FIXED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
}
"""What the tower cannot do otherwise; heads and these are nothing that the shapes of weights would tell."""


def check_layout(spec: BERTSpec, *, tokens: int) -> None:
    """Compares sizes, where the weights have a `config.json` in their folder.

    Args:
        spec: With weights.
        tokens: Tokens per text.

    Raises:
        DataRefusedError: where they do not agree.
    """
    place = f"{str(spec.weights).rpartition('/')[0]}/config.json"
    config = _read(place)
    other = [f"{key}: {config[key]}" for key, value in _FIXED.items() if config.get(key, value) != value]
    if other:
        raise DataRefusedError(
            "the published encoder is of another kind than `type: bert` builds",
            expected=", ".join(f"{key}: {value}" for key, value in _FIXED.items()),
            received=", ".join(other),
            place=Place(file=place),
        )
    own = {
        "num_hidden_layers": ("depth", spec.depth),
        "hidden_size": ("width", spec.width),
        "num_attention_heads": ("heads", spec.heads),
        "intermediate_size": ("expansion", spec.expansion * spec.width),
    }
    wrong = {key: name for key, (name, value) in own.items() if config.get(key, value) != value}
    if wrong:
        sizes = {key: config.get(key, value) for key, (_, value) in own.items()}
        right = {name: sizes[key] for key, (name, _) in own.items()}
        right["expansion"] = sizes["intermediate_size"] // max(sizes["hidden_size"], 1)
        raise DataRefusedError(
            "the sizes of `model.text` are not those of the published encoder",
            expected=", ".join(f"{key}: {config[key]}" for key in wrong),
            received=", ".join(f"{key}: {own[key][1]}" for key in wrong),
            place=Place(file=place),
            remedy=f"set `model.text` to {', '.join(f'{name}: {value}' for name, value in right.items())}",
        )
    if tokens > config.get("max_position_embeddings", tokens):
        raise DataRefusedError(
            "the texts are longer than those that the published encoder can read",
            expected=f"at most {config['max_position_embeddings']} tokens",
            received=f"{tokens} tokens",
            place=Place(key="data.text.tokens"),
        )


def _read(place: str) -> dict[str, Any]:
    """What the file says; nothing where there is none."""
    try:
        record = json.loads(fetch_file(place, None, _CONFIG)[0])
    except (DataRefusedError, ResourceError):
        return {}
    except ValueError as error:
        raise DataRefusedError(
            "the encoder's `config.json` cannot be read", received=str(error), place=Place(file=place)
        ) from error
    return record if isinstance(record, dict) else {}
