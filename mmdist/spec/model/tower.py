"""What the specs of all towers have in common."""

from pydantic import PositiveFloat

from mmdist.spec.base import Spec

__all__ = ["TowerSpec"]


class TowerSpec(Spec):
    """A tower for one modality."""

    learning_rate_scale: PositiveFloat = 1.0
    """What the learning rate is multiplied by for the tower's weights; of a tower that starts from pretrained weights,
    for those alone."""
