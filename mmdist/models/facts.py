"""What a model must know of the data it is built for."""

from dataclasses import dataclass

__all__ = ["DataFacts"]


@dataclass(frozen=True)
class DataFacts:
    """Facts that come with the data, beside what the job says."""

    image_size: tuple[int, int] | None = None
    """Height and width of the pictures, in pixels; None builds no image tower."""
    text_tokens: int | None = None
    """Tokens per text; None builds no text tower."""
    vocabulary: int | None = None
    """Tokens in the vocabulary; given with `text_tokens`."""
    labels: tuple[str, ...] = ()
    """Labels in the order of the model's outputs; empty for a task without."""
