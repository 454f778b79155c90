"""Whether the fusion and the losses beside the task's fit the task and the training."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import LateSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_fusion"]


def check_fusion(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Late fusion and losses per modality have the heads that they need."""
    fusion = job.model.fusion
    if isinstance(fusion, LateSpec) and not job.task.has_head:
        yield JobFileError(
            f"late fusion averages a head per modality, and the task `{job.task.type}` has no such head",
            expected="a fusion that makes one vector per row, such as `concat`",
            received="late",
            place=document.key_place(("model", "fusion")),
        )
    if job.model.auxiliary.per_modality and not job.task.has_head:
        yield JobFileError(
            f"the task `{job.task.type}` has no head that each modality could have for itself",
            expected="no `per_modality`, or 0",
            received=f"{job.model.auxiliary.per_modality:g}",
            place=document.value_place(("model", "auxiliary", "per_modality")),
        )
    if job.model.auxiliary.alignment is not None and job.train.accumulate > 1:
        yield JobFileError(
            "alignment tells a row from all others of its batch, and `train.accumulate` computes them in parts",
            expected="`train.accumulate: 1`",
            received=str(job.train.accumulate),
            place=document.value_place(("train", "accumulate")),
            remedy="leave `train.accumulate` out, or `model.auxiliary.alignment`",
        )
