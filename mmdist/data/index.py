"""The index of a dataset's row groups: how many rows and bytes each has, and the sums of its content.

It is stored as Parquet beside the shards, so that a million row groups load in a second. The number of a row group in
it is the row group's number everywhere else.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.schema_guard import open_parquet
from mmdist.errors import DataRefusedError, Place, words_of
from mmdist.storage import Store

__all__ = ["INDEX_FILE", "RowGroupFacts", "RowGroupIndex", "is_shard_name", "read_index", "write_index"]

INDEX_FILE = "_index.parquet"
VERSION = 1

_CONTENT_SUM = "content_sum_"
_FOOTER_SUM = "footer_sum"
_FIELDS = {"row_group": pa.int32(), "rows": pa.int64(), "bytes": pa.int64()}


@dataclass(frozen=True)
class RowGroupFacts:
    """One row group: its shard's file name, its number there, its rows, its bytes and its content sums by column."""

    shard: str
    row_group: int
    rows: int
    bytes: int
    content_sums: Mapping[str, int]
    footer_sum: int | None = None
    """XXH3-64 of the shard's footer, the same for all its row groups; None where it is unknown."""


@dataclass(frozen=True, eq=False)
class RowGroupIndex:
    """All n row groups of a dataset, by shard name and then by their number in the shard."""

    shards: tuple[str, ...]
    """File names, sorted; each has at least one row group."""
    shard: npt.NDArray[np.int32]
    """(n,) number of the shard in `shards`."""
    row_group: npt.NDArray[np.int32]
    """(n,) number of the row group in its shard."""
    rows: npt.NDArray[np.int64]
    """(n,) rows of the row group."""
    bytes: npt.NDArray[np.int64]
    """(n,) bytes of the row group in the file."""
    content_sums: Mapping[str, npt.NDArray[np.uint64]]
    """(n,) per column: see mmdist.data.content. Empty for shards that mmdist did not import."""
    footer_sums: npt.NDArray[np.uint64] | None = None
    """(shards,) XXH3-64 of each shard's footer; None where they are unknown."""

    @classmethod
    def of(cls, facts: Iterable[RowGroupFacts]) -> "RowGroupIndex":
        """The index of row groups given in any order. All must have sums of the same columns."""
        ordered = sorted(facts, key=lambda fact: (fact.shard, fact.row_group))
        shards = tuple(sorted({fact.shard for fact in ordered}))
        numbers = {shard: number for number, shard in enumerate(shards)}
        columns = tuple(ordered[0].content_sums) if ordered else ()
        return cls(
            shards=shards,
            shard=np.array([numbers[fact.shard] for fact in ordered], np.int32),
            row_group=np.array([fact.row_group for fact in ordered], np.int32),
            rows=np.array([fact.rows for fact in ordered], np.int64),
            bytes=np.array([fact.bytes for fact in ordered], np.int64),
            content_sums={name: np.array([fact.content_sums[name] for fact in ordered], np.uint64) for name in columns},
            footer_sums=_footer_sums(ordered),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_sums(self) -> bool:
        """Whether the content sums are known."""
        return bool(self.content_sums)

    @cached_property
    def total_rows(self) -> int:
        """Rows of the dataset."""
        return int(self.rows.sum())

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """(n,) the number, in the dataset, of each row group's first row."""
        return np.cumsum(self.rows) - self.rows

    def shard_name(self, group: int) -> str:
        """The file name of a row group's shard."""
        return self.shards[int(self.shard[group])]

    @cached_property
    def first_shard_rows(self) -> npt.NDArray[np.int64]:
        """(n,) the number, in its shard, of each row group's first row."""
        return self.first_rows - self.first_rows[np.searchsorted(self.shard, self.shard)]

    def locate(self, row: int) -> tuple[str, int]:
        """The shard of a row, and its number there, by its number in the dataset."""
        group = int(np.searchsorted(self.first_rows, row, side="right")) - 1
        return self.shard_name(group), int(self.first_shard_rows[group]) + row - int(self.first_rows[group])

    def fingerprint(self, schema: pa.Schema) -> str:
        """SHA-256, in hex, over the rows of the index and the names and types of the schema.

        Where the content sums are known they stand for the content; where not, the row groups' bytes and the shards'
        footers do.
        """
        columns = [f"{field.name}: {field.type}" for field in schema]
        digest = hashlib.sha256()
        _add(digest, json.dumps([VERSION, columns, self.shards, sorted(self.content_sums)]).encode())
        for values in (self.shard, self.row_group, self.rows):
            _add(digest, values.astype("<i8"))
        for name in sorted(self.content_sums):
            _add(digest, self.content_sums[name].astype("<u8"))
        if not self.content_sums:
            _add(digest, self.bytes.astype("<i8"))
            if self.footer_sums is not None:
                _add(digest, self.footer_sums.astype("<u8"))
        return digest.hexdigest()


def write_index(split: Store, index: RowGroupIndex, schema: pa.Schema) -> str:
    """Writes the index of a split, the last file of its folder. Returns the split's fingerprint."""
    fingerprint = index.fingerprint(schema)
    columns: dict[str, Any] = {
        "shard": pa.DictionaryArray.from_arrays(index.shard, pa.array(index.shards, pa.string())),
        "row_group": pa.array(index.row_group),
        "rows": pa.array(index.rows),
        "bytes": pa.array(index.bytes),
    }
    columns |= {f"{_CONTENT_SUM}{name}": pa.array(values) for name, values in index.content_sums.items()}
    footers = index.footer_sums
    columns[_FOOTER_SUM] = pa.nulls(len(index), pa.uint64()) if footers is None else pa.array(footers[index.shard])
    table = pa.table(columns)
    note = json.dumps({"version": VERSION, "fingerprint": fingerprint})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"mmdist": note}), sink, compression="zstd", write_page_checksum=True)
    split.write_bytes(INDEX_FILE, sink.getvalue())
    return fingerprint


def read_index(split: Store) -> tuple[RowGroupIndex, str]:
    """The index of a split and the fingerprint that importing wrote with it.

    Raises:
        DataRefusedError: when the file is missing, damaged, of another version, or names files outside the split.
    """
    try:
        with open_parquet(split, INDEX_FILE) as file:
            note = json.loads((file.schema_arrow.metadata or {}).get(b"mmdist", b"{}"))
            index = _from_file(file)
    except DataRefusedError as error:
        raise _refused(split, "the index cannot be read", f"{error.message} ({error.received})") from error
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise _refused(split, "the index cannot be read", words_of(error)) from error
    if note.get("version") != VERSION:
        raise _refused(split, "the index is of another version of mmdist", f"version {note.get('version')}")
    for shard in index.shards:
        if not is_shard_name(shard):
            raise _refused(split, "the index names a file that is no shard of this folder", shard)
    if list(index.shards) != sorted(set(index.shards)) or not _is_ordered(index):
        raise _refused(split, "the index is not in order", "row groups out of order, or one of them twice")
    if len(index) and int(index.rows.min()) < 0:
        raise _refused(split, "the index holds a negative row count", str(int(index.rows.min())))
    return index, str(note.get("fingerprint"))


def is_shard_name(name: str) -> bool:
    """Whether a file name may be a shard: `*.parquet`, in the folder itself, not beginning with `_` or `.`."""
    return name.endswith(".parquet") and not name.startswith(("_", ".")) and "/" not in name and "\\" not in name


def _from_file(file: pq.ParquetFile) -> RowGroupIndex:
    # Column by column into arrays of numpy's own: at a million row groups Arrow's buffers would double the memory.
    names = set(file.schema_arrow.names)
    summed = [name for name in file.schema_arrow.names if name.startswith(_CONTENT_SUM)]
    if names - set(summed) != {"shard", *_FIELDS, _FOOTER_SUM}:
        raise ValueError(f"columns {', '.join(sorted(names))}")
    arrays = {}
    for name, kind in _FIELDS.items():
        column = _column(file, name)
        if column.type != kind or column.null_count:
            raise ValueError(f"column {name} is {column.type}, expected {kind} without nulls")
        arrays[name] = np.array(column)
    sums = {}
    for name in summed:
        values = _sums(file, name)
        if values is None:
            raise ValueError(f"column {name} is empty")
        sums[name.removeprefix(_CONTENT_SUM)] = values
    shard = _column(file, "shard")
    encoded = shard.dictionary_encode().unify_dictionaries().combine_chunks()
    shards = tuple(encoded.dictionary.to_pylist())
    numbers = np.array(encoded.indices, np.int32)
    footer_sums = _sums(file, _FOOTER_SUM)
    return RowGroupIndex(
        shards=shards,
        shard=numbers,
        row_group=arrays["row_group"],
        rows=arrays["rows"],
        bytes=arrays["bytes"],
        content_sums=sums,
        footer_sums=None if footer_sums is None else footer_sums[np.unique(numbers, return_index=True)[1]],
    )


def _column(file: pq.ParquetFile, name: str) -> Any:
    column = file.read([name], use_threads=False).column(name)
    if len(column) != file.metadata.num_rows:  # a page's header is under no checksum, and says how many it holds
        raise ValueError(f"column {name} has {len(column)} of {file.metadata.num_rows} rows")
    return column


def _sums(file: pq.ParquetFile, name: str) -> npt.NDArray[np.uint64] | None:
    """A column of sums; None where they are unknown, which is all of them or none."""
    column = _column(file, name)
    if column.type != pa.uint64() or column.null_count not in (0, len(column)):
        raise ValueError(f"column {name} is {column.type} with {column.null_count} nulls, expected uint64")
    return np.array(column) if len(column) and column.null_count == 0 else None


def _footer_sums(ordered: list[RowGroupFacts]) -> npt.NDArray[np.uint64] | None:
    sums = {fact.shard: fact.footer_sum for fact in ordered}
    known = [value for value in sums.values() if value is not None]
    return np.array(known, np.uint64) if known and len(known) == len(sums) else None


def _is_ordered(index: RowGroupIndex) -> bool:
    same_shard = np.diff(index.shard) == 0
    return bool(np.all((np.diff(index.shard) > 0) | (same_shard & (np.diff(index.row_group) > 0))))


def _add(digest: "hashlib._Hash", data: bytes | npt.NDArray[Any]) -> None:
    view = memoryview(data if isinstance(data, bytes) else data.tobytes())
    # The length before each part keeps two different lists of parts from reading the same.
    digest.update(view.nbytes.to_bytes(8, "little"))
    digest.update(view)


def _refused(split: Store, message: str, received: str) -> DataRefusedError:
    return DataRefusedError(
        message,
        received=received,
        place=Place(file=f"{split.url}/{INDEX_FILE}"),
        remedy="run the import again into a new folder",
    )
