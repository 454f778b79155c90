"""Builds a model from its spec and the facts of the data: towers, fusion, head."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmdist.errors import JobFileError, Place
from mmdist.models.fusion import build_fusion
from mmdist.models.image import build_image_tower
from mmdist.models.tasks import ClassificationHead, probabilities
from mmdist.models.tensors import to_tensor
from mmdist.models.text import build_text_tower
from mmdist.spec.model import ModelSpec

__all__ = ["build_model", "make_predict_fn", "normalize"]


def build_model(
    spec: ModelSpec,
    *,
    image_size: tuple[int, int] | None,
    text_tokens: int | None,
    vocabulary: int | None,
    classes: int,
    seed: int,
) -> Any:
    """The model, its weights drawn from the seed alone.

    Args:
        spec: Towers, fusion and regularization.
        image_size: Height and width of the pictures; None builds no image tower.
        text_tokens: Tokens per text; None builds no text tower.
        vocabulary: Tokens in the vocabulary; needed with `text_tokens`.
        classes: Number of labels.
        seed: The job's seed.

    Returns:
        A keras.Model from a dict of inputs to logits float32 (B, classes). The inputs, those of the towers that
        are built: `image` float32 (B, H, W, 3) in [0, 1], `image_present` bool (B,), `text` int32 (B, T) with
        0 = padding, `text_present` bool (B,).

    Raises:
        JobFileError: where neither modality is given, or a tower cannot read pictures of this size.
    """
    inputs: dict[str, Any] = {}
    towers = []
    if image_size is not None:
        inputs["image"] = keras.Input((*image_size, 3), dtype="float32", name="image")
        inputs["image_present"] = keras.Input((), dtype="bool", name="image_present")
        image_tower = build_image_tower(
            spec.image, regularization=spec.regularization, image_size=image_size, seed=seed
        )
        towers.append(image_tower(inputs["image"], inputs["image_present"]))
    if text_tokens is not None and vocabulary is not None:
        inputs["text"] = keras.Input((text_tokens,), dtype="int32", name="text")
        inputs["text_present"] = keras.Input((), dtype="bool", name="text_present")
        text_tower = build_text_tower(spec.text, regularization=spec.regularization, vocabulary=vocabulary, seed=seed)
        towers.append(text_tower(inputs["text"], inputs["text_present"]))
    if not towers:
        raise JobFileError(
            "the model has nothing to read",
            expected="a column for `image`, for `text`, or for both",
            received="neither",
            place=Place(key="data.columns"),
        )
    fused = build_fusion(spec.fusion, regularization=spec.regularization, seed=seed)(towers)
    logits = ClassificationHead(regularization=spec.regularization, classes=classes, seed=seed)(fused)
    return keras.Model(inputs, logits, name="model")


def normalize(images: Any) -> Any:
    """Pictures uint8 (B, H, W, 3) as float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def make_predict_fn(model: Any) -> Callable[[Mapping[str, npt.NDArray[Any]]], npt.NDArray[np.float32]]:
    """A function from host arrays to probabilities float32 (B, C).

    It takes a mapping with the model's inputs, pictures as uint8 (B, H, W, 3), and leaves other keys alone. One
    batch size is traced once: keep it fixed.
    """
    names = tuple(model.input)

    @tf.function(autograph=False, jit_compile=False)
    def forward(inputs: dict[str, Any]) -> Any:
        ready = {name: normalize(value) if name == "image" else value for name, value in inputs.items()}
        return probabilities(model(ready, training=False))

    def predict(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = forward({name: to_tensor(arrays[name]) for name in names}).numpy()
        return result

    return predict
