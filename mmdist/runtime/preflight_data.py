"""Opens the datasets that a job reads, and looks at a sample of their pictures and labels."""

from pathlib import Path

from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.image_header import BadImage, read_header
from mmdist.data.labels import is_blank
from mmdist.data.roles import check_columns
from mmdist.data.targets import make_target, split_labels
from mmdist.data.values import name_values
from mmdist.errors import DataRefusedError
from mmdist.runtime.job_lines import at_key
from mmdist.runtime.preflight_folders import similar_path
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.task import CaptioningSpec, LabelTask, MultilabelSpec, RegressionSpec, TaskSpec
from mmdist.storage import is_remote

__all__ = ["open_input", "sample_images", "sample_labels"]

SAMPLE_ROWS = 256
SAMPLE_ROW_GROUPS = 8
_EXPECTED = {RegressionSpec: "numbers", CaptioningSpec: "sentences"}


def open_input(loaded: LoadedJob, folder: str, columns: ColumnsSpec, key: str) -> Dataset:
    """Opens the dataset of the key below `data`.

    Raises:
        DataRefusedError: where it is missing, empty or unusable.
        JobFileError: where it lacks one of the columns.
    """
    if not is_remote(folder) and not Path(folder).exists():
        raise DataRefusedError(
            f"the folder of `data.{key}` is not there",
            expected="a folder of Parquet shards",
            received=folder,
            place=loaded.value_place("data", key),
            remedy=similar_path(Path(folder)) or "check the path, or import the dataset first (`kind: import`)",
        )
    with at_key(loaded, "data", key):
        dataset = open_dataset(folder)
    with at_key(loaded, "data", "columns"):
        task = loaded.spec.task if isinstance(loaded.spec, TrainJob) else None
        check_columns(dataset, columns, number_label=isinstance(task, RegressionSpec))
    return dataset


def sample_images(loaded: LoadedJob, dataset: Dataset, column: str, key: str) -> list[str]:
    """Reads the headers of the first row group's first pictures. Returns what looks odd.

    Raises:
        DataRefusedError: where none of them is a picture.
    """
    with at_key(loaded, "data", key):
        values = dataset.read_row_group(0, [column]).column(column).slice(0, SAMPLE_ROWS)
    reasons, pictures = [], 0
    for value in values:
        data = value.as_py()
        if data is None:
            continue
        pictures += 1
        try:
            read_header(data)
        except BadImage as error:
            reasons.append(str(error))
    if reasons and len(reasons) == pictures:
        raise DataRefusedError(
            f"none of the first {pictures} pictures of `data.{key}` can be read",
            expected="JPEG, PNG, GIF, BMP or WebP",
            received=reasons[0],
            place=loaded.value_place("data", "columns", "image"),
            remedy="name the column with encoded pictures",
        )
    if not reasons:
        return []
    return [f"{len(reasons)} of the first {pictures} pictures of data.{key} cannot be read: {reasons[0]}"]


def sample_labels(
    loaded: LoadedJob, task: TaskSpec, dataset: Dataset, column: str, key: str, labels: list[str]
) -> tuple[list[str], list[str]]:
    """Compares the labels of the first row groups with those of the job, or takes the training split's for them.

    Args:
        loaded: The job.
        task: Its task.
        dataset: One of its datasets.
        column: The column of its labels.
        key: Its key below `data`.
        labels: The labels that are known.

    Returns:
        The labels that are known now, and what looks odd.

    Raises:
        DataRefusedError: where there are too few labels, or none is one of the job's.
    """
    is_learned = isinstance(task, LabelTask) and task.labels == "auto"
    least = 1 if isinstance(task, MultilabelSpec) else 2
    groups = min(SAMPLE_ROW_GROUPS, len(dataset.index))
    whole = groups == len(dataset.index)
    rows, unknown = 0, []
    for group in range(groups):
        with at_key(loaded, "data", key):
            values = dataset.read_row_group(group, [column]).column(column)
        rows += len(values)
        if key == "train" and is_learned:
            found = [value for value in name_values(values)[0] if value is not None and not is_blank(value)]
            if isinstance(task, MultilabelSpec):
                found = [label for value in found for label in split_labels(value, task.separator)]
            labels = sorted({*labels, *found})
        else:
            target = make_target(task, labels)
            unknown += list(target.encode(values)[1].values()) if target is not None else []
    if key == "train" and whole and is_learned and len(labels) < least:
        raise DataRefusedError(
            f"column `{column}` holds too few labels to tell apart",
            expected=f"at least {least} different label{'s' if least > 1 else ''}",
            received=f"{len(labels)} in {rows} rows: {', '.join(labels) or 'none'}",
            place=loaded.value_place("data", "columns", "label"),
            remedy="name the column with the class of each row",
        )
    if unknown and len(unknown) == rows and (whole or not is_learned):
        raise DataRefusedError(
            f"no label of the first {rows} rows of `data.{key}` is one of the job's",
            expected=", ".join(labels[:8]) + ("..." if len(labels) > 8 else "") or _EXPECTED[type(task)],
            received=unknown[0],
            place=loaded.value_place("data", "columns", "label"),
            remedy="check `task.labels` and `data.columns.label`",
        )
    if unknown and not is_learned:
        return labels, [f"{len(unknown)} of the first {rows} labels of data.{key}: {unknown[0]}"]
    return labels, []
