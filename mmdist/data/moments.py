"""Mean and standard deviation of numbers that come in parts, and columns of numbers as arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmdist.data.values import name_values, plain_column

__all__ = ["Moments", "number_values"]

_SHOWN_CHARACTERS = 60


class Moments:
    """Merges parts. Ref: doi:10.1080/00031305.1983.10483115."""

    def __init__(self) -> None:
        self._count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, numbers: npt.NDArray[np.float64]) -> None:
        """Takes numbers; what is not finite is left out."""
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return
        count = self._count + len(numbers)
        gap = float(numbers.mean()) - self.mean
        self._squares += float(np.square(numbers - numbers.mean()).sum()) + gap**2 * self._count * len(numbers) / count
        self.mean += gap * len(numbers) / count
        self._count = count

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where there is but one value, or none."""
        deviation = float(np.sqrt(self._squares / self._count)) if self._count else 0.0
        return deviation or 1.0


def number_values(column: "pa.ChunkedArray[Any]") -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    """float64 (n,), NaN where there is none, and by row the reasons of texts that are no number."""
    plain = plain_column(column)
    if not (pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type)):
        return np.asarray(pc.cast(plain, pa.float64()).to_numpy(), np.float64), {}  # a null becomes NaN
    texts, reasons = name_values(plain)
    numbers = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        try:
            numbers[row] = float(text) if text is not None and text.strip() else np.nan
        except ValueError:
            reasons[row] = f"no number: {text!r}" if len(text or "") <= _SHOWN_CHARACTERS else "no number"
    return numbers, reasons
