"""Tasks whose answer for a row follows from one vector of numbers: what they share, whatever fuses the towers."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from mmdist.models.fusion import Fuse
from mmdist.models.layers import TowerOutput
from mmdist.models.tasks.base import Task, Tensors

__all__ = ["HeadTask"]

# B batch, D width, K numbers per row


class HeadTask(Task):
    """A task that ends in a head: a layer from vectors float (B, D) to float32 (B, K).

    Late fusion averages what one head per modality gives, so that the mean of several must be as good an output as
    each of them: logits and predicted values are, probabilities after a threshold are not.
    """

    @abstractmethod
    def make_head(self, name: str) -> Any:
        """A new head: a Keras layer of this name, which its weights are drawn by."""

    def outputs(self, numbers_BK: Any) -> dict[str, Any]:
        """A head's output as the model's outputs by name."""
        return {"logits": numbers_BK}

    def connect(self, inputs: Tensors, towers: Mapping[str, TowerOutput], fuse: Fuse) -> dict[str, Any]:
        """The head, on what the towers have found together."""
        return self.outputs(fuse.through(towers, self.make_head))

    def connect_alone(self, modality: str, tower: TowerOutput, fuse: Fuse) -> dict[str, Any]:
        """The same outputs made of one modality, by a head of its own."""
        return self.outputs(fuse.alone(modality, tower, self.make_head))
