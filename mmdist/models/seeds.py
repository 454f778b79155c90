"""Seeds by name: what every weight and every random layer of a model is drawn from."""

import hashlib
from typing import Any

import keras

__all__ = ["glorot", "seed_for"]


def seed_for(seed: int, name: str) -> int:
    """A seed of 31 bits for one named use: it hashes both, so that neighbouring job seeds share nothing."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def glorot(seed: int, name: str) -> Any:
    """Keras's default kernel initializer, drawn from the job's seed and the layer's name."""
    return keras.initializers.GlorotUniform(seed=seed_for(seed, f"kernel/{name}"))
