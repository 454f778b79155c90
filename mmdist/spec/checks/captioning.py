"""Whether a job that says sentences has pictures to speak of, and is not shown what it is to say."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.augment import CutmixSpec, MixupSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.task import CaptioningSpec, TransformerDecoderSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_captioning"]


def check_captioning(job: TrainJob, document: Document) -> Iterator[JobFileError]:
    """The text is learned and not read; pictures are not mixed; heads share the decoder's width evenly."""
    task, columns = job.task, job.data.columns
    if not isinstance(task, CaptioningSpec):
        return
    place = document.key_place(("data", "columns"))
    if columns.text is not None:
        yield JobFileError(
            "captioning learns to say a text, and `data.columns.text` would show the model one",
            expected="no `text`, and the column with the captions as `label`",
            received=f"`text: {columns.text}`",
            place=place,
            remedy=f"write for example `columns: {{image: {columns.image or 'COLUMN'}, label: {columns.text}}}`",
        )
    if columns.image is None:
        yield JobFileError(
            "captioning says what is in a picture, and `data.columns` names none",
            expected="`image`: the column with the pictures",
            received="no `image`",
            place=place,
        )
    for number, spec in enumerate(job.data.image.augment):
        if isinstance(spec, MixupSpec | CutmixSpec):
            yield JobFileError(
                f"{spec.type} makes one picture of two, and no caption speaks of both",
                expected="augmentations of one picture",
                received=spec.type,
                place=document.value_place(("data", "image", "augment", number)),
            )
    decoder = task.decoder
    if isinstance(decoder, TransformerDecoderSpec) and decoder.width % decoder.heads:
        yield JobFileError(
            f"the width of `task.decoder` must divide by its {decoder.heads} heads",
            expected=f"a multiple of {decoder.heads}",
            received=str(decoder.width),
            place=document.key_place(("task", "decoder")),
        )
