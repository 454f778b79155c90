"""Judges, at import, what training would stumble over later: pictures, by the decoder that trains, and labels."""

import numpy as np

from mmdist.data.decode import BadImage, decode_image
from mmdist.data.labels import is_blank
from mmdist.importing.sources import Problem, SourceRow

__all__ = ["judge"]

# Decoding to a small size costs little more than reading the stream, and still reads all of it.
CHECK_SIDE_PX = 64


def judge(row: SourceRow, *, parts: tuple[str, ...], max_pixels: int) -> Problem | None:
    """Why a row cannot be trained on, or None.

    A row may lack its picture or its text, not both; a blank text or label is none. A picture of zero bytes is a
    broken one, not an absent one.

    Args:
        row: As the source read it; a problem that the source found itself is passed on.
        parts: What the source has (`image`, `text`, `label`).
        max_pixels: Largest picture, by its header.
    """
    if row.problem is not None:
        return row.problem
    if "label" in parts and is_blank(row.label):
        return Problem("label", "the row has no label")
    if row.image is None and not (row.text or "").strip():
        return Problem("", f"the row has no {' and no '.join(part for part in parts if part != 'label')}")
    if row.image is not None:
        out = np.empty((CHECK_SIDE_PX, CHECK_SIDE_PX, 3), np.uint8)
        try:
            decode_image(row.image, out, max_pixels=max_pixels)
        except BadImage as error:
            return Problem("image", str(error))
    return None
