"""Whether what is said of pretrained weights has any to speak of."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import PretrainedSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_tuning"]


def check_tuning(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Only pretrained weights are frozen, or have stages that learn at rates of their own."""
    for name in type(job.model).model_fields:
        spec = getattr(job.model, name)
        if not isinstance(spec, PretrainedSpec) or spec.weights is not None:
            continue
        for key in ("freeze", "layer_decay"):
            value = getattr(spec, key)
            if value != type(spec).model_fields[key].default:
                yield JobFileError(
                    f"`model.{name}.{key}` is about pretrained weights, and there are none",
                    expected=f"`model.{name}.weights`, or no `{key}`",
                    received=f"`{key}: {str(value).lower()}`",
                    place=document.value_place(("model", name, key)),
                )
