"""Towers for pictures: the one place that turns a spec into a tower."""

from typing import assert_never

from mmdist.models.image.application import ApplicationTower
from mmdist.models.image.cnn import CNNTower
from mmdist.models.image.convnext import ConvNeXtTower
from mmdist.models.image.resnet import ResNetTower
from mmdist.models.image.tower import ImageTower
from mmdist.models.image.vit import ViTTower
from mmdist.spec.model import (
    ApplicationSpec,
    CNNSpec,
    ConvNeXtSpec,
    ImageTowerSpec,
    RegularizationSpec,
    ResNetSpec,
    ViTSpec,
)

__all__ = [
    "ApplicationTower",
    "CNNTower",
    "ConvNeXtTower",
    "ImageTower",
    "ResNetTower",
    "ViTTower",
    "build_image_tower",
]


def build_image_tower(
    spec: ImageTowerSpec, *, regularization: RegularizationSpec, image_size: tuple[int, int], seed: int
) -> ImageTower:
    """The tower that the spec's `type` names."""
    match spec:
        case CNNSpec():
            return CNNTower(spec, regularization=regularization, image_size=image_size, seed=seed)
        case ResNetSpec():
            return ResNetTower(spec, regularization=regularization, image_size=image_size, seed=seed)
        case ConvNeXtSpec():
            return ConvNeXtTower(spec, regularization=regularization, image_size=image_size, seed=seed)
        case ViTSpec():
            return ViTTower(spec, regularization=regularization, image_size=image_size, seed=seed)
        case ApplicationSpec():
            return ApplicationTower(spec, regularization=regularization, image_size=image_size, seed=seed)
        case _:
            assert_never(spec)
