"""Builds a model from its spec and the facts of the data: towers, fusion, task."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from mmdist.errors import JobFileError, Place
from mmdist.models.audio import build_audio_tower
from mmdist.models.auxiliary import auxiliary_outputs
from mmdist.models.facts import DataFacts
from mmdist.models.fusion import Fuse, build_fusion
from mmdist.models.image import build_image_tower
from mmdist.models.layers import TowerOutput
from mmdist.models.modality_dropout import ModalityDropout
from mmdist.models.tabular import build_tabular_tower
from mmdist.models.tasks import Task
from mmdist.models.tensors import to_tensor
from mmdist.models.text import build_text_tower
from mmdist.spec.model import ModalityDropoutSpec, ModelSpec

__all__ = ["build_model", "make_predict_fn", "normalize"]

Arrays = Mapping[str, npt.NDArray[Any]]


def build_model(spec: ModelSpec, task: Task, facts: DataFacts, *, seed: int) -> Any:
    """The model, its weights drawn from the seed alone.

    Args:
        spec: Towers, fusion and regularization.
        task: How the model ends.
        facts: Which modalities are read, and in which shapes.
        seed: The job's seed.

    Returns:
        A keras.Model from a dict of inputs to the task's dict of outputs, with those that auxiliary losses are made
        of. The inputs, those of the towers that are built: `image` float32 (B, H, W, 3) in [0, 1], `text` int32
        (B, T) with 0 = padding, `audio` float32 (B, F, M), `tabular` float32 (B, F, 2), and of each
        `MODALITY_present` bool (B,). Where the task teaches with it, also `label`.

    Raises:
        JobFileError: where no modality is given, or a tower cannot read pictures of this size.
    """
    inputs = _inputs(facts)
    label = task.label_input()
    if label is not None:
        inputs["label"] = label
    shown = _shown(spec, inputs, seed=seed)
    towers: dict[str, TowerOutput] = {}
    if facts.image_size is not None:
        image_tower = build_image_tower(
            spec.image, regularization=spec.regularization, image_size=facts.image_size, seed=seed
        )
        towers["image"] = image_tower(inputs["image"], shown["image"])
    if facts.text_tokens is not None and facts.vocabulary is not None:
        text_tower = build_text_tower(
            spec.text, regularization=spec.regularization, vocabulary=facts.vocabulary, seed=seed
        )
        towers["text"] = text_tower(inputs["text"], shown["text"])
    if facts.audio is not None:
        audio_tower = build_audio_tower(spec.audio, regularization=spec.regularization, shape=facts.audio, seed=seed)
        towers["audio"] = audio_tower(inputs["audio"], shown["audio"])
    if facts.tabular is not None:
        tabular_tower = build_tabular_tower(
            spec.tabular, regularization=spec.regularization, facts=facts.tabular, seed=seed
        )
        towers["tabular"] = tabular_tower(inputs["tabular"], shown["tabular"])
    if not towers:
        raise JobFileError(
            "the model has nothing to read",
            expected="columns for at least one of `image`, `text`, `audio` and `tabular`",
            received="none",
            place=Place(key="data.columns"),
        )
    fuse = Fuse(build_fusion(spec.fusion, regularization=spec.regularization, seed=seed))
    outputs = task.connect(inputs, towers, fuse)
    outputs |= auxiliary_outputs(spec.auxiliary, task, towers, fuse, seed=seed)
    return keras.Model(inputs, outputs, name="model")


def _inputs(facts: DataFacts) -> dict[str, Any]:
    """By name, what is read of each modality, and whether a row has it."""
    inputs: dict[str, Any] = {}
    if facts.image_size is not None:
        inputs["image"] = keras.Input((*facts.image_size, 3), dtype="float32", name="image")
        inputs["image_present"] = keras.Input((), dtype="bool", name="image_present")
    if facts.text_tokens is not None and facts.vocabulary is not None:
        inputs["text"] = keras.Input((facts.text_tokens,), dtype="int32", name="text")
        inputs["text_present"] = keras.Input((), dtype="bool", name="text_present")
    if facts.audio is not None:
        inputs["audio"] = keras.Input(facts.audio, dtype="float32", name="audio")
        inputs["audio_present"] = keras.Input((), dtype="bool", name="audio_present")
    if facts.tabular is not None:
        fields = facts.tabular.numbers + len(facts.tabular.categories)
        inputs["tabular"] = keras.Input((fields, 2), dtype="float32", name="tabular")
        inputs["tabular_present"] = keras.Input((), dtype="bool", name="tabular_present")
    return inputs


def _shown(spec: ModelSpec, inputs: Mapping[str, Any], *, seed: int) -> dict[str, Any]:
    """By modality, which rows the towers are told to have it, bool (B,)."""
    present = {name: inputs[f"{name}_present"] for name in inputs if f"{name}_present" in inputs}
    rates = spec.modality_dropout
    by_modality = {name: getattr(rates, name) if isinstance(rates, ModalityDropoutSpec) else rates for name in present}
    if len(present) < 2 or not any(by_modality.values()):
        return present
    if "text" in present:  # a text without a token is none that a row could be left with
        present["text"] = keras.ops.logical_and(present["text"], keras.ops.any(inputs["text"] != 0, axis=1))
    shown: dict[str, Any] = ModalityDropout(by_modality, seed=seed)(present)
    return shown


def normalize(images: Any) -> Any:
    """Pictures uint8 (B, H, W, 3) as float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def make_predict_fn(model: Any, task: Task) -> Callable[[Arrays], dict[str, npt.NDArray[Any]]]:
    """A function from host arrays to the task's answers by name, as host arrays.

    It takes a mapping with the model's inputs, pictures as uint8 (B, H, W, 3), and leaves other keys alone. One
    batch size is traced once: keep it fixed.
    """
    names = tuple(name for name in model.input if name != "label")

    @tf.function(autograph=False, jit_compile=False)
    def forward(inputs: dict[str, Any]) -> dict[str, Any]:
        ready = {name: normalize(value) if name == "image" else value for name, value in inputs.items()}
        return task.predict(model, ready)

    def predict(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        found = forward({name: to_tensor(arrays[name]) for name in names})
        return {name: value.numpy() for name, value in found.items()}

    return predict
