"""Whether the towers can read what they are given."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import CNNSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_image_size", "smallest_image_px"]


def check_image_size(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Pictures survive the poolings of the image tower."""
    smallest = smallest_image_px(job.model.image)
    height, width = job.data.image.size
    if job.data.columns.image is not None and min(height, width) < smallest:
        count = len(job.model.image.filters)
        yield JobFileError(
            f"pictures of {height} x {width} are too small for {count} convolutions with pooling",
            expected=f"at least {smallest} x {smallest}",
            received=f"{height} x {width}",
            place=document.value_place(("data", "image", "size")),
            remedy="raise `data.image.size`, or give `model.image.filters` fewer entries",
        )


def smallest_image_px(spec: CNNSpec) -> int:
    """The smallest side that survives every 3x3 convolution (no padding) and 2x2 pooling of a tower."""
    side = 1
    for _ in spec.filters:
        side = 2 * side + 2
    return side
