"""What a training needs of its data before a model can be built: open datasets, labels, tokenizer, collator."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.roles import check_columns
from mmdist.data.tabular import TabularEncoder, learn_tabular
from mmdist.data.targets import TargetFacts, learn_target, make_target
from mmdist.data.tokenizer import FileTokenizer, Tokenizer, learn_tokenizer, read_tokenizer
from mmdist.errors import JobFileError, Place
from mmdist.models.facts import DataFacts, tabular_facts
from mmdist.models.pretrained import fetch_tokenizer
from mmdist.spec.job import TrainJob
from mmdist.spec.task import RegressionSpec
from mmdist.spec.text import FileTokenizerSpec
from mmdist.storage import Store, commit_anew, is_committed, read_committed

__all__ = ["Prepared", "prepare"]

FOLDER = "vocabulary"
TABULAR = "tabular.json"
TARGET = "target.json"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Prepared:
    """The data of a train job, ready to be read."""

    train: Dataset
    validation: Dataset
    test: Dataset | None
    target: TargetFacts
    tokenizer: Tokenizer | None
    tabular: TabularEncoder | None
    collator: Collator

    @property
    def facts(self) -> DataFacts:
        """What the model is built for."""
        return DataFacts(
            image_size=self.collator.image_size,
            text_tokens=self.tokenizer.tokens if self.tokenizer is not None else None,
            vocabulary=self.tokenizer.size if self.tokenizer is not None else None,
            audio=self.collator.audio.shape if self.collator.audio is not None else None,
            tabular=tabular_facts(self.tabular.to_json()) if self.tabular is not None else None,
            labels=self.target.labels,
            label_weights=self.target.label_weights,
            target=(self.target.mean, self.target.deviation),
        )

    @property
    def tokenizer_bytes(self) -> bytes | None:
        """Content of `tokenizer.json`."""
        return self.tokenizer.to_bytes() if self.tokenizer is not None else None

    @property
    def vocabulary_sha256(self) -> str:
        """Hash of target, tokenizer and fields: what the numbers in a batch mean."""
        return hashlib.sha256(b"\0".join(_payload(self.target, self.tokenizer, self.tabular).values())).hexdigest()


def prepare(
    job: TrainJob, run: Store, *, threads: int, is_chief: bool, on_progress: Callable[[str, int, int], None]
) -> Prepared:
    """Opens the datasets, and learns labels and tokenizer from the training split unless the run has them.

    Args:
        job: The resolved job.
        run: The run, whose folder `vocabulary` keeps what was learned.
        threads: Threads that decode pictures.
        is_chief: Whether this worker writes that folder.
        on_progress: Called with what is learned, the rows read and the rows in all; it may raise.

    Raises:
        DataRefusedError: where a dataset, or a tokenizer's file, cannot be used.
        JobFileError: where a column is not there.
        ResourceError: where a tokenizer's file cannot be fetched.
    """
    data = job.data
    train, validation = (open_dataset(url, data.cache) for url in (data.train, data.validation))
    test = open_dataset(data.test, data.cache) if data.test is not None else None
    for dataset in (train, validation, test):
        if dataset is not None:
            check_columns(dataset, data.columns, number_label=isinstance(job.task, RegressionSpec))
    if data.columns.label is None and job.task.has_label:
        raise JobFileError(
            "a training needs labels",
            expected="the name of the label's column",
            received="nothing",
            place=Place(key="data.columns.label"),
        )
    if is_committed(run, FOLDER):
        kept = read_committed(run, FOLDER)
        target = TargetFacts.from_json(json.loads(kept[TARGET]))
        tokenizer = read_tokenizer(kept[TOKENIZER]) if TOKENIZER in kept else None
        tabular = TabularEncoder.from_json(json.loads(kept[TABULAR])) if TABULAR in kept else None
    else:
        target, tokenizer, tabular = _learn(job, train, data.columns.label, on_progress)
        if is_chief:
            commit_anew(run, FOLDER, dict(_payload(target, tokenizer, tabular)))
    collator = Collator(
        data.columns,
        image_size=data.image.size if data.columns.image is not None else None,
        max_pixels=data.image.max_pixels,
        tokenizer=tokenizer,
        tabular=tabular,
        audio=data.audio if data.columns.audio is not None else None,
        target=make_target(job.task, target.labels),
        threads=threads,
    )
    return Prepared(train, validation, test, target, tokenizer, tabular, collator)


def _learn(
    job: TrainJob, train: Dataset, label: str | None, on_progress: Callable[[str, int, int], None]
) -> tuple[TargetFacts, Tokenizer | None, TabularEncoder | None]:
    def progress(what: str) -> Callable[[int], None]:
        return lambda rows: on_progress(what, rows, train.rows)

    target = learn_target(job.task, train, label, progress("learn-labels"))
    text, kind = job.data.columns.text, job.data.text.tokenizer
    tokenizer: Tokenizer | None = None
    if text is not None and isinstance(kind, FileTokenizerSpec):
        published = fetch_tokenizer(kind.path, kind.sha256)
        tokenizer = FileTokenizer.read(published, kind.path, tokens=job.data.text.tokens)
    elif text is not None:
        tokenizer = learn_tokenizer(train, text, job.data.text, progress("learn-vocabulary"))
    fields, tabular = job.data.columns.tabular, None
    if fields is not None:
        tabular = learn_tabular(train, fields, job.data.tabular, progress("learn-fields"))
    return target, tokenizer, tabular


def _payload(target: TargetFacts, tokenizer: Tokenizer | None, tabular: TabularEncoder | None) -> dict[str, bytes]:
    payload = {TARGET: json.dumps(target.to_json(), ensure_ascii=False).encode()}
    if tokenizer is not None:
        payload[TOKENIZER] = tokenizer.to_bytes()
    if tabular is not None:
        payload[TABULAR] = json.dumps(tabular.to_json(), ensure_ascii=False).encode()
    return payload
