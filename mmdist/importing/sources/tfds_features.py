"""Picks a builder's picture, text and label among its features, and turns their values into parts of a row.

A feature is named by its path: `image`, `objects.label`, and through a sequence `captions.text`, of which the first
element is taken. Without a name, the only feature that fits is taken; a text in a sequence fits when there is none
outside one, and texts that name files (`image/filename`, `id`, `url`) never fit by themselves, for they often hold
the label.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from mmdist.errors import JobFileError, Place
from mmdist.spec.importing import TfdsSourceSpec
from mmdist.spec.suggest import did_you_mean, one_of

__all__ = ["PickedFeature", "as_picture", "as_string", "pick_features", "value_at"]

NAMING = {"file", "filename", "id", "key", "name", "path", "url", "uri"}

Role = Literal["image", "text", "label"]


@dataclass(frozen=True)
class PickedFeature:
    """A feature and the path that leads to it; `in_sequence` where the first element of a sequence is taken."""

    path: tuple[str, ...]
    connector: Any
    in_sequence: bool = False

    @property
    def name(self) -> str:
        """The path as users write it."""
        return ".".join(self.path)


def pick_features(features: Any, spec: TfdsSourceSpec) -> dict[str, PickedFeature]:
    """The features by role (`image`, `text`, `label`), and the further columns by their names.

    Raises:
        JobFileError: when a named feature does not exist or does not fit, when several fit, or when there is neither
            a picture nor a text. It names the candidates.
    """
    found = {feature.name: feature for feature in _walk(features, (), False)}
    picked: dict[str, PickedFeature] = {}
    roles: tuple[Role, ...] = ("image", "text", "label")
    for role in roles:
        name = getattr(spec, role)
        feature = _named(found, name, f"import.source.{role}") if name else _only(found, role, spec.builder)
        if feature is not None:
            picked[role] = feature
    if "image" not in picked and "text" not in picked:
        raise JobFileError(
            f"the builder `{spec.builder}` has neither a picture nor a text by itself",
            expected="a feature named by import.source.image or import.source.text",
            received=one_of(found),
            place=Place(key="import.source"),
        )
    for column, name in spec.columns.items():
        picked[f"column:{column}"] = _named(found, name, f"import.source.columns.{column}")
    return picked


def value_at(example: Mapping[str, Any], feature: PickedFeature) -> Any:
    """A feature's value in an example; None where a sequence on its way is empty."""
    value: Any = example
    for step in feature.path:
        value = value[step]
    if feature.in_sequence:
        return value[0] if len(value) else None
    return value


def as_picture(value: Any) -> bytes | None:
    """The encoded picture: as it was stored or, for an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), as PNG.

    Raises:
        ValueError: when an array is of another shape or type than uint8.
    """
    if value is None or isinstance(value, bytes):
        return value
    pixels = np.asarray(value)
    if pixels.dtype.kind in "SO":
        return bytes(pixels.item())
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ValueError(f"an array of shape {pixels.shape} and type {pixels.dtype} is no 8-bit picture")
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format="PNG")
    return sink.getvalue()


def as_string(value: Any, connector: Any) -> str | None:
    """A text, the name of a class, or a number in decimal; None for a class label below 0 (unlabelled).

    Raises:
        ValueError: when a text is not UTF-8, or the value is an array.
    """
    if value is None:
        return None
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bytes):
        return plain.decode("utf-8")
    if hasattr(connector, "int2str"):
        return str(connector.int2str(plain)) if plain >= 0 else None
    return str(plain)


def _walk(features: Any, path: tuple[str, ...], in_sequence: bool) -> Iterator[PickedFeature]:
    import tensorflow_datasets as tfds

    if isinstance(features, tfds.features.FeaturesDict):
        for name, inner in features.items():
            yield from _walk(inner, (*path, name), in_sequence)
    elif isinstance(features, tfds.features.Sequence):
        # A sequence in a sequence has no first value that could be told without a second choice.
        if not in_sequence:
            yield from _walk(features.feature, path, True)
    else:
        yield PickedFeature(path, features, in_sequence)


def _named(found: Mapping[str, PickedFeature], name: str, key: str) -> PickedFeature:
    if name not in found:
        raise JobFileError(
            f"the builder has no feature `{name}`{did_you_mean(name, found)}",
            expected=one_of(found),
            received=name,
            place=Place(key=key),
        )
    return found[name]


def _only(found: Mapping[str, PickedFeature], role: Role, builder: str) -> PickedFeature | None:
    fitting = [feature for feature in found.values() if _fits(feature, role)]
    candidates = [feature for feature in fitting if not feature.in_sequence]
    if role == "text" and not candidates:
        candidates = fitting
    if len(candidates) > 1:
        raise JobFileError(
            f"the builder `{builder}` has more than one {role}",
            expected=one_of(feature.name for feature in candidates),
            received=f"no import.source.{role}",
            place=Place(key=f"import.source.{role}"),
            remedy=f"name one of them as import.source.{role}",
        )
    return candidates[0] if candidates else None


def _fits(feature: PickedFeature, role: Role) -> bool:
    import tensorflow_datasets as tfds

    connector = feature.connector
    match role:
        case "image":
            # Its pixels are classes, not a picture.
            masks = tfds.features.LabeledImage
            return isinstance(connector, tfds.features.Image) and not isinstance(connector, masks)
        case "label":
            return isinstance(connector, tfds.features.ClassLabel)
        case "text":
            naming = NAMING & set(re.split(r"[/._\W]+", feature.path[-1].lower()))
            is_string = isinstance(connector, tfds.features.Tensor) and connector.np_dtype == np.object_
            return is_string and connector.shape == () and not naming
