"""Judges, at import, what training would stumble over later: files, by the decoders that train, and labels."""

import numpy as np

from mmdist.data.decode import BadImage, decode_image
from mmdist.data.labels import is_blank
from mmdist.data.recording import BadAudio, read_audio
from mmdist.importing.sources import Problem, SourceRow

__all__ = ["judge"]

# Decoding to a small size costs little more than reading the stream, and still reads all of it.
CHECK_SIDE_PX = 64


def judge(row: SourceRow, *, parts: tuple[str, ...], max_pixels: int, max_samples: int) -> Problem | None:
    """Why a row cannot be trained on, or None.

    A row may lack some of its picture, its text and its recording, not all; a blank text or label is none. A file of
    zero bytes is a broken one, not an absent one.

    Args:
        row: As the source read it; a problem that the source found itself is passed on.
        parts: What the source has, of `PARTS`.
        max_pixels: Largest picture, by its header.
        max_samples: Largest recording, by its header.
    """
    if row.problem is not None:
        return row.problem
    if "label" in parts and is_blank(row.label):
        return Problem("label", "the row has no label")
    if row.image is None and row.audio is None and not (row.text or "").strip():
        return Problem("", f"the row has no {' and no '.join(part for part in parts if part != 'label')}")
    # A recording before a picture, as where both are bad in training.
    if row.audio is not None:
        try:
            read_audio(row.audio, max_samples=max_samples)
        except BadAudio as error:
            return Problem("audio", str(error))
    if row.image is not None:
        out = np.empty((CHECK_SIDE_PX, CHECK_SIDE_PX, 3), np.uint8)
        try:
            decode_image(row.image, out, max_pixels=max_pixels)
        except BadImage as error:
            return Problem("image", str(error))
    return None
