"""Columns that a job reads."""

from collections.abc import Iterator

from mmdist.errors import JobFileError
from mmdist.spec.data import MODALITIES, ColumnsSpec
from mmdist.spec.suggest import one_of
from mmdist.spec.yaml_source import Document

__all__ = ["check_columns"]


def check_columns(columns: ColumnsSpec, document: Document, *, needs_label: bool) -> Iterator[JobFileError]:
    """A job needs something to read, and a label where it learns or judges."""
    place = document.key_place(("data", "columns"))
    if not columns.modalities:
        yield JobFileError(
            "`data.columns` names nothing that a model could read",
            expected=f"at least one of {one_of(MODALITIES)}",
            received="none",
            place=place,
            remedy="add for example `image: COLUMN` or `text: COLUMN` to `data.columns`",
        )
    tabular = columns.tabular
    if tabular is not None:
        fields = (*tabular.numbers, *tabular.categories)
        if not fields or len(set(fields)) < len(fields):
            yield JobFileError(
                "`data.columns.tabular` names a column twice" if fields else "`data.columns.tabular` names no column",
                expected="`numbers`, `categories` or both, with different columns",
                received=", ".join(fields) or "none",
                place=document.key_place(("data", "columns", "tabular")),
            )
    if needs_label and columns.label is None:
        yield JobFileError(
            "`data.columns` names no label",
            expected="`label`: the column with the label",
            received="no `label`",
            place=place,
            remedy="add `label: COLUMN` to `data.columns`",
        )
