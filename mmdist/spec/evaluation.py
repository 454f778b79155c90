"""The evaluation section: how sure the report is, and what it shows."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from mmdist.spec.base import Spec

__all__ = ["EvaluationSpec"]


class EvaluationSpec(Spec):
    """How the report is made."""

    confidence: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    """Level of the confidence intervals."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    """Resamples that an interval is taken from."""
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = 10
    """Bins of the reliability diagram."""
    mistakes: NonNegativeInt = 24
    """Most confident mistakes that the gallery shows."""
    batch_size: PositiveInt = 256
    """Rows per forward pass."""
