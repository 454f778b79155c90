"""Whether the parts of the model can be built, and read what they are given."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import PretrainedSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_heads", "check_image_size", "check_same_weights", "check_stages"]


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


def check_heads(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Heads of attention share the width evenly, in every part of the model that has them."""
    for name in type(job.model).model_fields:
        spec = getattr(job.model, name)
        width, heads = getattr(spec, "width", 0), getattr(spec, "heads", 1)
        if width % heads:
            below = width // heads * heads
            yield JobFileError(
                f"the width of `model.{name}` must divide by its {heads} heads; received {width}. "
                f"Try {' or '.join(str(multiple) for multiple in (below, below + heads) if multiple)}.",
                expected=f"a multiple of {heads}",
                received=str(width),
                place=document.key_place(("model", name)),
            )


def check_same_weights(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Workers read pretrained weights each for itself, and must start from the same."""
    for name in type(job.model).model_fields:
        spec = getattr(job.model, name)
        if not isinstance(spec, PretrainedSpec) or spec.weights is None or spec.sha256 is not None:
            continue
        if job.resources.workers > 1:
            yield JobFileError(
                f"`model.{name}.sha256` is missing: {job.resources.workers} workers must start from the same weights",
                expected="the SHA-256 of the file of weights, in hexadecimal",
                received="none",
                place=document.value_place(("model", name, "weights")),
                remedy="add what `sha256sum` prints for the file",
            )
