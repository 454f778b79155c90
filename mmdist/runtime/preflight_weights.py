"""Looks at the pretrained weights and the tokenizer that a job starts from, before a cluster does."""

from mmdist.data.tokenizer import FileTokenizer
from mmdist.models.pretrained import check_layout, check_weights, fetch_tokenizer, weights_location
from mmdist.runtime.job_lines import at_key
from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.model import BERTSpec, PretrainedSpec
from mmdist.spec.text import FileTokenizerSpec

__all__ = ["check_pretrained"]


def check_pretrained(loaded: LoadedJob, job: TrainJob) -> None:
    """Each tower that is built finds its file of weights, with the hash that the job asks for; so does the tokenizer.

    Raises:
        DataRefusedError: where a file is not there, is another one, or does not fit the job's sizes.
        ResourceError: where this machine cannot reach it.
    """
    for modality in ("image", "text"):
        spec = getattr(job.model, modality)
        if getattr(job.data.columns, modality) is None or not isinstance(spec, PretrainedSpec) or spec.weights is None:
            continue
        with at_key(loaded, "model", modality, "weights"):
            check_weights(weights_location(spec), spec.sha256)
            if isinstance(spec, BERTSpec):
                check_layout(spec, tokens=job.data.text.tokens)
    text = job.data.text
    if job.data.columns.text is not None and isinstance(text.tokenizer, FileTokenizerSpec):
        with at_key(loaded, "data", "text", "tokenizer", "path"):
            path = text.tokenizer.path
            FileTokenizer.read(fetch_tokenizer(path, text.tokenizer.sha256), path, tokens=text.tokens)
