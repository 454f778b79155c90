"""How values are distributed, in a few numbers that JSON can hold."""

import numpy as np
import numpy.typing as npt

__all__ = ["spread"]


def spread(values: npt.NDArray[np.int64]) -> dict[str, int] | None:
    """The least, the median, the 95th percentile and the most, each a value that is there; None where none is."""
    if not len(values):
        return None
    low, median, high, most = np.percentile(values, (0, 50, 95, 100), method="nearest").tolist()
    return {"least": int(low), "median": int(median), "p95": int(high), "most": int(most)}
