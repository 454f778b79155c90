"""The model section of a job file: each tower and each fusion is a spec, chosen by its type."""

from mmdist.spec.model.audio import AudioCNNSpec, AudioTowerSpec, AudioTransformerSpec
from mmdist.spec.model.auxiliary import AlignmentSpec, AuxiliarySpec, ModalityDropoutSpec
from mmdist.spec.model.fusion import BilinearSpec, ConcatSpec, CrossAttentionSpec, FusionSpec, GatedSpec, LateSpec
from mmdist.spec.model.image import (
    ApplicationSpec,
    CNNSpec,
    ConvNeXtSpec,
    ImageTowerBase,
    ImageTowerSpec,
    ResNetSpec,
    ViTSpec,
)
from mmdist.spec.model.pretrained import PretrainedSpec
from mmdist.spec.model.regularization import RegularizationSpec
from mmdist.spec.model.section import ModelSpec
from mmdist.spec.model.tabular import FTTransformerSpec, MLPSpec, TabularTowerSpec
from mmdist.spec.model.text import BagSpec, BERTSpec, BiLSTMSpec, TextTowerSpec, TextTransformerSpec

__all__ = [
    "AlignmentSpec",
    "AudioCNNSpec",
    "AudioTowerSpec",
    "AudioTransformerSpec",
    "AuxiliarySpec",
    "ApplicationSpec",
    "BERTSpec",
    "BagSpec",
    "BiLSTMSpec",
    "BilinearSpec",
    "CNNSpec",
    "ConcatSpec",
    "CrossAttentionSpec",
    "ConvNeXtSpec",
    "FusionSpec",
    "ImageTowerBase",
    "GatedSpec",
    "ImageTowerSpec",
    "LateSpec",
    "FTTransformerSpec",
    "MLPSpec",
    "TabularTowerSpec",
    "ModalityDropoutSpec",
    "ModelSpec",
    "PretrainedSpec",
    "RegularizationSpec",
    "ResNetSpec",
    "TextTowerSpec",
    "TextTransformerSpec",
    "ViTSpec",
]
