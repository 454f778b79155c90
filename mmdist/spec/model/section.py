"""The model section: towers, fusion and regularization."""

from mmdist.spec.base import Spec
from mmdist.spec.model.audio import AudioCNNSpec, AudioTowerSpec
from mmdist.spec.model.auxiliary import AuxiliarySpec, ModalityDropoutSpec, Rate
from mmdist.spec.model.fusion import ConcatSpec, FusionSpec
from mmdist.spec.model.image import CNNSpec, ImageTowerSpec
from mmdist.spec.model.regularization import RegularizationSpec
from mmdist.spec.model.tabular import MLPSpec, TabularTowerSpec
from mmdist.spec.model.text import BiLSTMSpec, TextTowerSpec

__all__ = ["ModelSpec"]


class ModelSpec(Spec):
    """The model: a tower per modality whose column is named in `data.columns`, a fusion, the task's head."""

    image: ImageTowerSpec = CNNSpec()
    text: TextTowerSpec = BiLSTMSpec()
    audio: AudioTowerSpec = AudioCNNSpec()
    tabular: TabularTowerSpec = MLPSpec()
    fusion: FusionSpec = ConcatSpec()
    auxiliary: AuxiliarySpec = AuxiliarySpec()
    modality_dropout: ModalityDropoutSpec | Rate = 0.0
    """Share of the rows in training that a modality is hidden from, never a row's last one: one number for all
    modalities, or one for each."""
    regularization: RegularizationSpec = RegularizationSpec()
