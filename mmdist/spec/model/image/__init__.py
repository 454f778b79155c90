"""Image towers, each chosen by its type."""

from typing import Annotated

from pydantic import Field

from mmdist.spec.base import default_type
from mmdist.spec.model.image.application import ApplicationSpec
from mmdist.spec.model.image.base import ImageTowerBase
from mmdist.spec.model.image.cnn import CNNSpec
from mmdist.spec.model.image.convnext import ConvNeXtSpec
from mmdist.spec.model.image.resnet import ResNetSpec
from mmdist.spec.model.image.vit import ViTSpec

__all__ = [
    "ApplicationSpec",
    "CNNSpec",
    "ConvNeXtSpec",
    "ImageTowerBase",
    "ImageTowerSpec",
    "ResNetSpec",
    "ViTSpec",
]

ImageTowerSpec = Annotated[
    CNNSpec | ResNetSpec | ConvNeXtSpec | ViTSpec | ApplicationSpec, Field(discriminator="type"), default_type("cnn")
]
