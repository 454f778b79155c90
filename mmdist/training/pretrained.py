"""Puts pretrained weights into the towers of a new run."""

from typing import Any

from mmdist.spec.model import ModelSpec
from mmdist.storage import EventWriter

__all__ = ["load_pretrained"]


def load_pretrained(model: Any, spec: ModelSpec, events: EventWriter | None) -> None:
    """Loads the pretrained weights that the towers' specs name, and tells of each file, by its hash.

    Args:
        model: The built model.
        spec: What it was built from.
        events: The run's, on the chief; None elsewhere.

    Raises:
        DataRefusedError: where a file is not there, has another hash, or is of another network.
        ResourceError: where it cannot be fetched.
    """
    for layer in model.layers:
        load = getattr(layer, "load_pretrained", None)
        sha256 = load() if load is not None else None
        if sha256 is not None and events is not None:
            tower = layer.name.removesuffix("_tower")
            events.write("pretrained", tower=tower, weights=getattr(spec, tower).weights, sha256=sha256)
