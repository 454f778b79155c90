"""Looks at the pretrained weights that a job starts from, before a cluster does."""

from mmdist.models.pretrained import check_weights, weights_location
from mmdist.runtime.job_lines import at_key
from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.model import PretrainedSpec

__all__ = ["check_pretrained"]


def check_pretrained(loaded: LoadedJob, job: TrainJob) -> None:
    """Each tower that is built finds its file of weights, with the hash that the job asks for.

    Raises:
        DataRefusedError: where a file is not there, or is another one.
        ResourceError: where this machine cannot reach it.
    """
    for modality in ("image", "text"):
        spec = getattr(job.model, modality)
        if getattr(job.data.columns, modality) is None or not isinstance(spec, PretrainedSpec) or spec.weights is None:
            continue
        with at_key(loaded, "model", modality, "weights"):
            check_weights(weights_location(spec), spec.sha256)
