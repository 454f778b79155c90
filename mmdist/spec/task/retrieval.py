"""Pictures that find their texts, and texts that find their pictures."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["LEAST_TEMPERATURE", "RetrievalSpec"]

LEAST_TEMPERATURE = 0.01
"""What cosines are divided by at least: they are multiplied by at most 100."""


class RetrievalSpec(TaskBase):
    """Pictures and texts in one space, in which those of a row lie near each other and far from those of other rows
    (CLIP, arXiv:2103.00020)."""

    metrics: ClassVar[Mapping[str, Mode]] = {"batch_recall": "max"}
    has_head: ClassVar[bool] = False
    has_label: ClassVar[bool] = False

    type: Literal["retrieval"] = "retrieval"
    width: PositiveInt = 128
    """Width of the vectors that pictures and texts become."""
    temperature: Annotated[float, Field(ge=LEAST_TEMPERATURE, le=1.0)] = 0.07
    """What cosines are divided by at first: the smaller, the more the nearest wrong rows count. It is learned, and
    stays at 0.01 or above."""
