"""Whether the fusion fits the task."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import LateSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_fusion"]


def check_fusion(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Late fusion has heads to average."""
    fusion = job.model.fusion
    if isinstance(fusion, LateSpec) and not job.task.has_head:
        yield JobFileError(
            f"late fusion averages a head per modality, and the task `{job.task.type}` has no such head",
            expected="a fusion that makes one vector per row, such as `concat`",
            received="late",
            place=document.key_place(("model", "fusion")),
        )
