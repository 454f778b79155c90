"""Image towers, each chosen by its type."""

from typing import Annotated

from pydantic import Field

from mmdist.spec.base import default_type
from mmdist.spec.model.image.application import ApplicationSpec
from mmdist.spec.model.image.base import ImageTowerBase
from mmdist.spec.model.image.cnn import CNNSpec
from mmdist.spec.model.image.resnet import ResNetSpec

__all__ = ["ApplicationSpec", "CNNSpec", "ImageTowerBase", "ImageTowerSpec", "ResNetSpec"]

ImageTowerSpec = Annotated[CNNSpec | ResNetSpec | ApplicationSpec, Field(discriminator="type"), default_type("cnn")]
