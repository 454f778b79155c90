"""All checks of a job, by its kind."""

from mmdist.errors import JobFileError
from mmdist.spec.checks.captioning import check_captioning
from mmdist.spec.checks.columns import check_columns
from mmdist.spec.checks.fusion import check_fusion
from mmdist.spec.checks.importing import check_imported_folders, check_shares
from mmdist.spec.checks.losses import check_label_weights
from mmdist.spec.checks.model import check_heads, check_image_size, check_same_weights, check_stages
from mmdist.spec.checks.retrieval import check_retrieval
from mmdist.spec.checks.sharing import check_batch, check_lanes, check_mixing, check_workers
from mmdist.spec.checks.text import check_ngrams, check_published_tokenizer
from mmdist.spec.checks.train import check_modes, check_warmup, check_xla
from mmdist.spec.checks.tuning import check_tuning
from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob
from mmdist.spec.yaml_source import Document

__all__ = ["check_job"]


def check_job(job: JobSpec, document: Document) -> list[JobFileError]:
    """Every conflict between keys of a valid job, each at the place of the key to change.

    Args:
        job: With absolute folders and lanes filled in.
        document: The parsed file, for the places.
    """
    match job:
        case ImportJob():
            return list(check_shares(job.import_, document))
        case TrainJob():
            return [
                *(check_shares(job.import_, document) if job.import_ is not None else ()),
                *check_columns(job.data.columns, document, needs_label=job.task.has_label),
                *check_workers(job, document),
                *check_batch(job, document),
                *check_lanes(job, document),
                *check_mixing(job, document),
                *check_image_size(job, document),
                *check_stages(job, document),
                *check_heads(job, document),
                *check_same_weights(job, document),
                *check_tuning(job, document),
                *check_fusion(job, document),
                *check_ngrams(job, document),
                *check_published_tokenizer(job, document),
                *check_captioning(job, document),
                *check_label_weights(job, document),
                *check_retrieval(job, document),
                *check_modes(job, document),
                *check_warmup(job, document),
                *check_xla(job, document),
                *check_imported_folders(job, document),
            ]
        case EvaluateJob() | PredictJob():
            # Whether an evaluation needs a label is known of the model.
            return list(check_columns(job.data.columns, document, needs_label=False))
