"""Keys of texts that do not go together."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.job import TrainJob
from mmdist.spec.model import BERTSpec
from mmdist.spec.text import FileTokenizerSpec, NgramsTokenizerSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_ngrams", "check_published_tokenizer"]


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


def check_published_tokenizer(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Published weights read texts by the tokenizer that they were published with, the same on all workers."""
    if job.data.columns.text is None:
        return
    tower, tokenizer = job.model.text, job.data.text.tokenizer
    if isinstance(tower, BERTSpec) and tower.weights is not None and not isinstance(tokenizer, FileTokenizerSpec):
        beside = f"{tower.weights.rpartition('/')[0]}/tokenizer.json"
        yield JobFileError(
            "pretrained weights know tokens by the numbers of the tokenizer that they were published with",
            expected="`data.text.tokenizer` of the type `file`",
            received=f"`{tokenizer.type}`",
            place=document.value_place(("model", "text", "weights")),
            remedy=f"set for example `data.text.tokenizer: {{type: file, path: {beside}}}`",
        )
    if isinstance(tokenizer, FileTokenizerSpec) and tokenizer.sha256 is None and job.resources.workers > 1:
        yield JobFileError(
            f"`data.text.tokenizer.sha256` is missing: {job.resources.workers} workers must cut texts alike",
            expected="the SHA-256 of the tokenizer's file, in hexadecimal",
            received="none",
            place=document.value_place(("data", "text", "tokenizer", "path")),
            remedy="add what `sha256sum` prints for the file",
        )
