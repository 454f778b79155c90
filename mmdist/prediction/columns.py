"""Which columns of a dataset a model can be fed from. No I/O."""

from mmdist.data.dataset import Dataset
from mmdist.data.roles import check_columns
from mmdist.errors import JobFileError, Place
from mmdist.models import ArtifactInfo
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.task import RegressionSpec

__all__ = ["columns_for_model"]


def columns_for_model(
    columns: ColumnsSpec, info: ArtifactInfo, dataset: Dataset, *, label: bool = False
) -> ColumnsSpec:
    """The columns that are read: the id, and those of the model's modalities that the job names.

    A modality that the job leaves out, or names as null, counts as absent in every row. Without `label`, no label
    is read: the dataset needs none.

    Raises:
        JobFileError: when none of the model's modalities is named, no label where one is read, or a column that is
            not there.
        DataRefusedError: when a column's type does not fit its part.
    """
    if label and columns.label is None:
        raise JobFileError(
            f"the model of run {info.run_id} is judged by labels, and the job names none",
            expected="`label`: the column with the label",
            received="no `label`",
            place=Place(key="data.columns"),
            remedy="add `label: COLUMN` to `data.columns`",
        )
    modalities = info.modalities
    read = columns.reading(modalities, label=label)
    if not read.modalities:
        raise JobFileError(
            f"the job names no column that the model of run {info.run_id} reads",
            expected=f"a column for `{'` or `'.join(modalities)}`",
            received=", ".join(f"{part}: {name}" for part, name in columns if name is not None) or "no column",
            place=Place(key="data.columns"),
            remedy="name the column under data.columns, or use a model that was trained on what this dataset has",
        )
    if read.tabular is not None and read.tabular != info.columns.tabular:
        raise JobFileError(
            "the fields are not those that the model was trained on",
            expected=str(info.columns.tabular),
            received=str(read.tabular),
            place=Place(key="data.columns.tabular"),
            remedy="name the same columns in the same order",
        )
    check_columns(dataset, read, number_label=isinstance(info.task, RegressionSpec))
    return read
