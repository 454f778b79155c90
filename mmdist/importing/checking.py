"""What can be told of an import without reading its rows, starting Ray or loading TensorFlow."""

from typing import assert_never

from mmdist.importing.sources.openmoji import OpenMojiSource
from mmdist.importing.sources.table import TableSource
from mmdist.importing.splits import check_splits, split_columns
from mmdist.spec.importing import FolderSourceSpec, ImportSpec, OpenMojiSourceSpec, TableSourceSpec, TfdsSourceSpec

__all__ = ["check_import"]


def check_import(spec: ImportSpec) -> None:
    """Checks a table's columns, the demo's packages, and that the splits fit them.

    Raises:
        JobFileError: when the spec asks for what the source does not have.
        DataRefusedError: when a table is none.
        ResourceError: when packages that draw the demo are missing.
    """
    match spec.source:
        case TableSourceSpec():
            table = TableSource(spec.source, split_columns=split_columns(spec.splits))
            table.check_columns()
            check_splits(spec.splits, table.facts())
        case OpenMojiSourceSpec():
            check_splits(spec.splits, OpenMojiSource(spec.source).facts())
        case FolderSourceSpec() | TfdsSourceSpec():
            # Listing a folder or making a builder takes too long for a check.
            pass
        case _:
            assert_never(spec.source)
