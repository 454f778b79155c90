"""Tasks: a head, its loss and what is counted."""

from mmdist.models.tasks.classification import ClassificationHead, classification_sums, probabilities

__all__ = ["ClassificationHead", "classification_sums", "probabilities"]
