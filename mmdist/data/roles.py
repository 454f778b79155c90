"""Which column of a dataset plays which part in a job: id, image, text, audio, label, or a field of a record."""

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
_FLOATS = ("halffloat", "float", "double")
_ROLE_TYPES = {
    "id": _NAMES,
    "image": ("binary", "large_binary"),
    "text": _TEXT,
    "audio": ("binary", "large_binary"),
    "label": _NAMES,
    "tabular.numbers": (*_NAMES, *_FLOATS, "bool"),
    "tabular.categories": (*_NAMES, "bool"),
}


def columns_by_role(columns: ColumnsSpec) -> dict[str, str]:
    """The column of each part that the job reads; parts with several columns number them, as job files do."""
    named = {part: getattr(columns, part) for part in ("id", "image", "text", "audio", "label")}
    if columns.tabular is not None:
        for kind, names in (("numbers", columns.tabular.numbers), ("categories", columns.tabular.categories)):
            named |= {f"tabular.{kind}.{number}": name for number, name in enumerate(names)}
    return {role: name for role, name in named.items() if name is not None}


def check_columns(dataset: "Dataset", columns: ColumnsSpec, *, number_label: bool = False) -> None:
    """Checks that the columns a job names are there and of a type that fits their part.

    Args:
        dataset: The rows.
        columns: Which column plays which part.
        number_label: Whether the label is a number, rather than a name.

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
        types = _ROLE_TYPES[role.rstrip("0123456789").rstrip(".")]
        if role == "label" and number_label:
            types = _ROLE_TYPES["tabular.numbers"]
        if str(kind) not in types:
            raise DataRefusedError(
                f"column `{name}` cannot be read as {role}",
                expected=" or ".join(types),
                received=str(kind),
                place=Place(file=dataset.store.url, key=f"data.columns.{role}"),
                remedy="name another column, or write the shards with this type",
            )
