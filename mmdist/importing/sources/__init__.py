"""The sources that a dataset can be imported from, and the one place that turns a spec into a source."""

from typing import assert_never

from mmdist.importing.sources.base import (
    FILES,
    PARTS,
    Listing,
    Problem,
    Range,
    Ranges,
    RowKey,
    Source,
    SourceFacts,
    SourceRow,
)
from mmdist.spec.importing import (
    FolderSourceSpec,
    OpenMojiSourceSpec,
    SourceSpec,
    TableSourceSpec,
    TfdsSourceSpec,
)

__all__ = [
    "FILES",
    "PARTS",
    "Listing",
    "Problem",
    "Range",
    "Ranges",
    "RowKey",
    "Source",
    "SourceFacts",
    "SourceRow",
    "open_source",
]


def open_source(spec: SourceSpec, *, split_columns: tuple[str, ...] = ()) -> Source:
    """The source that a spec describes. Its packages are imported only when it is asked for rows or facts.

    Args:
        spec: The `import.source` section.
        split_columns: Columns that the splits depend on; a table reads them beside those that its spec names.
    """
    match spec:
        case OpenMojiSourceSpec():
            from mmdist.importing.sources.openmoji import OpenMojiSource

            return OpenMojiSource(spec)
        case TfdsSourceSpec():
            from mmdist.importing.sources.tfds import TfdsSource

            return TfdsSource(spec)
        case FolderSourceSpec():
            from mmdist.importing.sources.folder import FolderSource

            return FolderSource(spec)
        case TableSourceSpec():
            from mmdist.importing.sources.table import TableSource

            return TableSource(spec, split_columns=split_columns)
        case _:
            assert_never(spec)
