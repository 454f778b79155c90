"""Whether a job that looks for pictures by texts, and for texts by pictures, has both and nothing else."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.augment import CutmixSpec, MixupSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.model import ModelSpec
from mmdist.spec.task import RetrievalSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_retrieval"]

_NEEDED = ("image", "text")


def check_retrieval(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """Pictures and texts are read, nothing fuses or hides them, and all rows of a batch meet each other."""
    if not isinstance(job.task, RetrievalSpec):
        return
    yield from _check_columns(job, document)
    default = ModelSpec()
    for name, why in (
        ("fusion", "compares the two towers, and fuses nothing"),
        ("modality_dropout", "needs both of a row, and a hidden one takes the row out of the loss"),
    ):
        if getattr(job.model, name) != getattr(default, name):
            yield JobFileError(
                f"retrieval {why}",
                expected=f"no `model.{name}`",
                received=str(getattr(getattr(job.model, name), "type", getattr(job.model, name))),
                place=document.key_place(("model", name)),
                remedy=f"leave `model.{name}` out",
            )
    if job.model.auxiliary.alignment is not None:
        yield JobFileError(
            "retrieval is what `alignment` does beside another task",
            expected="no `model.auxiliary.alignment`",
            received="a section",
            place=document.key_place(("model", "auxiliary", "alignment")),
            remedy="leave it out; `task.temperature` and `task.width` are what it would set",
        )
    for number, spec in enumerate(job.data.image.augment):
        if isinstance(spec, MixupSpec | CutmixSpec):
            yield JobFileError(
                f"{spec.type} makes one picture of two, and no text belongs to both",
                expected="augmentations of one picture",
                received=spec.type,
                place=document.value_place(("data", "image", "augment", number)),
            )
    if job.train.accumulate > 1:
        yield JobFileError(
            "retrieval tells a row from all others of its batch, and `train.accumulate` computes them in parts",
            expected="`train.accumulate: 1`",
            received=str(job.train.accumulate),
            place=document.value_place(("train", "accumulate")),
            remedy="leave `train.accumulate` out",
        )
    if job.train.global_batch_size < 2:
        yield JobFileError(
            "retrieval tells a row from the others of its batch, and there are none",
            expected="at least 2; the more, the better",
            received=str(job.train.global_batch_size),
            place=document.value_place(("train", "global_batch_size")),
        )


def _check_columns(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    columns = job.data.columns
    place = document.key_place(("data", "columns"))
    for name in _NEEDED:
        if getattr(columns, name) is None:
            yield JobFileError(
                f"retrieval compares pictures with texts, and `data.columns` names no {name}",
                expected="`image` and `text`: the columns with the pictures and with their texts",
                received=f"no `{name}`",
                place=place,
            )
    for name in columns.modalities:
        if name not in _NEEDED:
            yield JobFileError(
                f"retrieval compares pictures with texts, and has no use for `data.columns.{name}`",
                expected="`image` and `text`",
                received=f"`{name}` too",
                place=document.key_place(("data", "columns", name)),
                remedy=f"leave `{name}` out",
            )
    if columns.label is not None:
        example = f"{{image: {columns.image or 'COLUMN'}, text: {columns.text or 'COLUMN'}}}"
        yield JobFileError(
            "retrieval learns which picture and text are of one row, and reads no label",
            expected="no `label`",
            received=f"`label: {columns.label}`",
            place=place,
            remedy=f"write for example `columns: {example}`",
        )
