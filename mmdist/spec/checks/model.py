"""Whether the towers can read what they are given."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.yaml_source import Document

__all__ = ["check_image_size", "check_stages"]


def check_image_size(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Pictures fit the image tower."""
    if job.data.columns.image is None:
        return
    height, width = job.data.image.size
    misfit = job.model.image.misfit(height, width)
    if misfit is not None:
        yield JobFileError(
            misfit.message,
            expected=misfit.expected,
            received=f"{height} x {width}",
            place=document.value_place(("data", "image", "size")),
            remedy=misfit.remedy,
        )


def check_stages(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Every stage of a tower has a depth and a width."""
    depths, widths = (getattr(job.model.image, name, ()) for name in ("depths", "widths"))
    if len(depths) != len(widths):
        yield JobFileError(
            "`model.image` has not as many widths as depths",
            expected=f"{len(depths)} widths, as `depths` has {len(depths)} stages",
            received=", ".join(map(str, widths)),
            place=document.value_place(("model", "image", "widths")),
            remedy="give `depths` and `widths` one entry for each stage",
        )
