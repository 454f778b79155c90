"""Columns that a job reads."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.yaml_source import Document

__all__ = ["check_columns"]


def check_columns(columns: ColumnsSpec, document: Document, *, needs_label: bool) -> Iterator[JobFileError]:
    """A job needs something to read, and a label where it learns or judges."""
    place = document.key_place(("data", "columns"))
    if columns.image is None and columns.text is None:
        yield JobFileError(
            "`data.columns` names nothing that a model could read",
            expected="`image`, `text` or both",
            received="neither",
            place=place,
            remedy="add `image: COLUMN` or `text: COLUMN` to `data.columns`",
        )
    if needs_label and columns.label is None:
        yield JobFileError(
            "`data.columns` names no label",
            expected="`label`: the column with the label",
            received="no `label`",
            place=place,
            remedy="add `label: COLUMN` to `data.columns`",
        )
