"""Which column of a dataset plays which part in a job: id, image, text, label."""

from typing import TYPE_CHECKING

from mmdist.data.schema_guard import plain_type
from mmdist.errors import DataRefusedError, JobFileError, Place
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.suggest import nearest

if TYPE_CHECKING:
    from mmdist.data.dataset import Dataset

__all__ = ["check_columns", "columns_by_role"]

_TEXT = ("string", "large_string")
_NAMES = (*_TEXT, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_ROLE_TYPES = {"id": _NAMES, "image": ("binary", "large_binary"), "text": _TEXT, "label": _NAMES}


def columns_by_role(columns: ColumnsSpec) -> dict[str, str]:
    """The column of each part that the job reads."""
    named = {"id": columns.id, "image": columns.image, "text": columns.text, "label": columns.label}
    return {role: name for role, name in named.items() if name is not None}


def check_columns(dataset: "Dataset", columns: ColumnsSpec) -> None:
    """Checks that the columns a job names are there and of a type that fits their part.

    Raises:
        JobFileError: at `data.columns.PART`, when there is no such column; it names the nearest one.
        DataRefusedError: when the column's type does not fit.
    """
    for role, name in columns_by_role(columns).items():
        if name not in dataset.schema.names:
            near = nearest(name, dataset.schema.names)
            raise JobFileError(
                f"the dataset has no column `{name}`",
                expected=f"one of {', '.join(dataset.schema.names)}",
                received=name,
                place=Place(key=f"data.columns.{role}"),
                remedy=f"did you mean `{near}`?" if near else f"leave `{role}` out where the data has none",
            )
        kind = plain_type(dataset.schema.field(name).type)
        if str(kind) not in _ROLE_TYPES[role]:
            raise DataRefusedError(
                f"column `{name}` cannot be read as {role}",
                expected=" or ".join(_ROLE_TYPES[role]),
                received=str(kind),
                place=Place(file=dataset.store.url, key=f"data.columns.{role}"),
                remedy="name another column, or write the shards with this type",
            )
