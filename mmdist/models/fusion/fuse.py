"""What a task is handed to join the towers with: one vector per row, or what its heads make of them."""

from collections.abc import Callable, Mapping
from typing import Any

from mmdist.errors import JobFileError, Place
from mmdist.models.fusion.late import LateFusion
from mmdist.models.layers import TowerOutput

__all__ = ["Fuse", "MakeHead"]

# B batch, D width, K numbers per row

MakeHead = Callable[[str], Any]
"""From a name to a new head: a layer from float (B, D) to float32 (B, K)."""


class Fuse:
    """A fusion as tasks see it, while one model is built.

    Args:
        fusion: The layer that `build_fusion` made.
    """

    def __init__(self, fusion: Any) -> None:
        self._fusion = fusion
        self._alone: dict[str, Any] = {}

    def __call__(self, towers: Mapping[str, TowerOutput]) -> Any:
        """The towers' outputs by modality as one vector per row, float (B, D).

        Raises:
            JobFileError: where the fusion makes none.
        """
        if isinstance(self._fusion, LateFusion):
            raise JobFileError(
                "late fusion joins what a head per modality says, and this task has no such head",
                expected="a fusion that makes one vector per row",
                received="late",
                place=Place(key="model.fusion.type"),
            )
        return self._fusion(list(towers.values()))

    def through(self, towers: Mapping[str, TowerOutput], make_head: MakeHead) -> Any:
        """What a head makes of the fused vectors, or late fusion of a head per modality: float (B, K)."""
        if isinstance(self._fusion, LateFusion):
            numbers = [self.alone(name, tower, make_head) for name, tower in towers.items()]
            return self._fusion(list(towers.values()), numbers)
        return make_head("head")(self(towers))

    def alone(self, modality: str, tower: TowerOutput, make_head: MakeHead) -> Any:
        """What the modality's own head makes of its pooled vector, float (B, K). There is one such head per model."""
        if modality not in self._alone:
            self._alone[modality] = make_head(f"{modality}_head")(tower.pooled)
        return self._alone[modality]
