"""Keys of texts that do not go together."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.text import NgramsTokenizerSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_ngrams"]


def check_ngrams(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """The shortest n-gram is not longer than the longest."""
    tokenizer = job.data.text.tokenizer
    if not isinstance(tokenizer, NgramsTokenizerSpec):
        return
    shortest, longest = tokenizer.lengths
    if shortest > longest:
        yield JobFileError(
            "the shortest n-gram is longer than the longest",
            expected=f"[{longest}, {shortest}]",
            received=f"[{shortest}, {longest}]",
            place=document.value_place(("data", "text", "tokenizer", "lengths")),
            remedy="name the shorter length first",
        )
