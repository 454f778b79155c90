"""Whether the fusion can be built, and fits the task."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import CrossAttentionSpec, LateSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_fusion"]


def check_fusion(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Heads share out the width, and late fusion has heads to average."""
    fusion = job.model.fusion
    if isinstance(fusion, CrossAttentionSpec) and fusion.width % fusion.heads:
        below = fusion.width // fusion.heads * fusion.heads
        yield JobFileError(
            f"the width of `model.fusion` must divide by its {fusion.heads} heads; received {fusion.width}. "
            f"Try {' or '.join(str(width) for width in (below, below + fusion.heads) if width)}.",
            expected=f"a multiple of {fusion.heads}",
            received=str(fusion.width),
            place=document.key_place(("model", "fusion")),
        )
    if isinstance(fusion, LateSpec) and not job.task.has_head:
        yield JobFileError(
            f"late fusion averages a head per modality, and the task `{job.task.type}` has no such head",
            expected="a fusion that makes one vector per row, such as `concat`",
            received="late",
            place=document.key_place(("model", "fusion")),
        )
