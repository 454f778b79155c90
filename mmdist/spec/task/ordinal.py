"""One label per row, of labels that have an order."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mmdist.spec.task.base import Mode, TaskBase

__all__ = ["OrdinalSpec"]


class OrdinalSpec(TaskBase):
    """One of several labels in an order, by a cumulative logit with one slope and ordered thresholds."""

    metrics: ClassVar[Mapping[str, Mode]] = {"accuracy": "max", "rank_error": "min"}

    type: Literal["ordinal"] = "ordinal"
    labels: Annotated[tuple[str, ...], Field(min_length=3)]
    """The labels, from the lowest to the highest."""
