"""Which columns of a dataset a model can be fed from. No I/O."""

from mmdist.data.dataset import Dataset
from mmdist.data.roles import check_columns
from mmdist.errors import JobFileError, Place
from mmdist.models import ArtifactInfo
from mmdist.spec.data import ColumnsSpec

__all__ = ["columns_for_model"]


def columns_for_model(columns: ColumnsSpec, info: ArtifactInfo, dataset: Dataset) -> ColumnsSpec:
    """The columns that are read: the id, and those of the model's modalities that the job names.

    A modality that the job leaves out, or names as null, counts as absent in every row. A label column is not
    read: the dataset needs none.

    Raises:
        JobFileError: when none of the model's modalities is named, or a column that is named is not there.
        DataRefusedError: when a column's type does not fit its part.
    """
    read = ColumnsSpec(
        id=columns.id,
        image=columns.image if info.image is not None else None,
        text=columns.text if info.text is not None else None,
    )
    if read.image is None and read.text is None:
        modalities = [name for name, part in (("image", info.image), ("text", info.text)) if part is not None]
        raise JobFileError(
            f"the job names no column that the model of run {info.run_id} reads",
            expected=f"a column for `{'` or `'.join(modalities)}`",
            received=", ".join(f"{part}: {name}" for part, name in columns if name is not None) or "no column",
            place=Place(key="data.columns"),
            remedy="name the column under data.columns, or use a model that was trained on what this dataset has",
        )
    check_columns(dataset, read)
    return read
