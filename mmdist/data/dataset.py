"""A dataset: one folder of Parquet shards, checked as a whole before its first row is read.

A folder that mmdist imported has an index beside its shards; any other folder of shards gets one from the footers.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdist.data.card import check_split, read_card
from mmdist.data.content import HashedColumns
from mmdist.data.footers import ShardFooter, read_footer
from mmdist.data.index import INDEX_FILE, RowGroupIndex, is_shard_name, read_index
from mmdist.data.readers import ReaderPool
from mmdist.data.roles import columns_by_role
from mmdist.errors import DataRefusedError, Place, words_of
from mmdist.spec.data import CacheSpec, ColumnsSpec
from mmdist.storage import Store, open_cache, open_store

__all__ = ["WRITER_FILE", "Dataset", "open_dataset"]

WRITER_FILE = "_mmdist.json"
"""Importing writes it first: a folder with it and without an index is an unfinished import."""

_IMPORT_AGAIN = "run the import again"
_LOCAL_THREADS = 4
_REMOTE_THREADS = 32


@dataclass(frozen=True, eq=False)
class Dataset:
    """An open dataset. Safe to read from several threads at once."""

    store: Store
    """The folder of the shards."""
    schema: pa.Schema
    """Columns of every shard."""
    index: RowGroupIndex
    fingerprint: str
    """SHA-256, in hex, over the index and the schema: it names the content, not the place."""
    card: dict[str, Any] | None
    """What importing wrote into dataset.json; None where mmdist did not import."""
    readers: ReaderPool
    """Shards that are open for reading."""

    @property
    def rows(self) -> int:
        """Rows of all row groups."""
        return self.index.total_rows

    def read_row_group(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Reads all rows of a row group, page checksums verified.

        Args:
            group: Its number in the index.
            columns: Names of the columns to read.

        Returns:
            The columns in the order asked for, each in one chunk or several.

        Raises:
            DataRefusedError: naming the shard and the row group, when the bytes do not agree with their checksums,
                cannot be read as Parquet, or hold other columns or another number of rows than the index says.
        """
        shard = self.index.shard_name(group)
        number = int(self.index.row_group[group])
        place = Place(file=f"{self.store.url}/{shard}")
        try:
            with self.readers.borrow(shard) as reader:
                table = reader.read_row_group(number, columns=list(columns), use_threads=False)
        except (OSError, ValueError, IndexError, MemoryError, pa.ArrowException) as error:
            raise DataRefusedError(
                f"row group {number} of the shard is damaged",
                expected="pages that agree with their checksums",
                received=words_of(error),
                place=place,
                remedy="bring the shard back from its source, or import again",
            ) from error
        expected_rows = int(self.index.rows[group])
        if table.num_rows != expected_rows or sorted(table.column_names) != sorted(columns):
            raise DataRefusedError(
                f"row group {number} of the shard is not the one that the dataset's index describes",
                expected=f"{expected_rows} rows of {', '.join(columns)}",
                received=f"{table.num_rows} rows of {', '.join(table.column_names)}",
                place=place,
                remedy="the shard was replaced after the dataset was opened: start the job again",
            )
        return table.select(list(columns))

    def hashed_columns(self, columns: ColumnsSpec) -> HashedColumns:
        """What the content ledger hashes for a job that reads these columns.

        Where the index has sums, only columns with a sum, keyed by the id that importing keyed them by. Elsewhere
        all columns that the job reads, keyed by its id column.
        """
        read = tuple(dict.fromkeys(columns_by_role(columns).values()))
        if not self.index.has_sums:
            return HashedColumns(columns.id, read)
        key = "id" if "id" in self.index.content_sums else None
        wanted = {*read, key}
        return HashedColumns(key, tuple(name for name in self.index.content_sums if name in wanted))

    def columns_to_read(self, columns: ColumnsSpec) -> tuple[str, ...]:
        """The columns that a job reads: its own, and those that the content ledger needs besides."""
        own = columns_by_role(columns).values()
        return tuple(dict.fromkeys((*own, *self.hashed_columns(columns).names)))


def open_dataset(url: str, cache: CacheSpec | None = None) -> Dataset:
    """Opens a folder of Parquet shards and checks every shard's footer; no row is read.

    Args:
        url: A local folder or a URL; of an imported dataset, the folder of a split.
        cache: Where what is read from a remote folder is kept.

    Raises:
        DataRefusedError: when the folder is missing, empty or an unfinished import; when a shard is missing, empty,
            truncated, no Parquet, has an extension type, or its columns or rows differ from the first shard's or
            from the index. The message names the shard.
    """
    store = open_store(url)
    if cache is not None and not store.is_local:
        store = store.cached(open_cache(cache.path, cache.max_bytes))
    shards = _list_shards(store)
    indexed = _read_index(store, shards)
    footers = _read_footers(store, shards, measure=indexed is None)
    schema = _common_schema(store, footers)
    if indexed is None:
        index = RowGroupIndex.of(fact for footer in footers for fact in footer.groups)
    else:
        index = indexed[0]
        _check_against_index(store, index, footers)
    if index.total_rows == 0:
        raise DataRefusedError("the dataset has no rows", place=Place(file=store.url), remedy="name another folder")
    fingerprint = index.fingerprint(schema)
    if indexed is not None and fingerprint != indexed[1]:
        raise DataRefusedError(
            "the index does not agree with its own fingerprint, or the shards' columns are not those imported",
            expected=indexed[1],
            received=fingerprint,
            place=Place(file=f"{store.url}/{INDEX_FILE}"),
            remedy=_IMPORT_AGAIN,
        )
    card = read_card(url)
    check_split(store, card, fingerprint)
    readers = ReaderPool(store, {footer.shard: footer.sum for footer in footers})
    return Dataset(store, schema, index, fingerprint, card, readers)


def _list_shards(store: Store) -> list[str]:
    if store.is_local and Path(store.root).is_file():
        raise DataRefusedError(
            "the path leads to a file",
            expected="a folder of Parquet shards",
            place=Place(file=store.url),
            remedy=f"name the folder that it lies in: {Path(store.root).parent}",
        )
    if not store.exists():
        raise DataRefusedError(
            "there is no such folder", place=Place(file=store.url), remedy="check the path, or import the dataset first"
        )
    entries = store.list()
    _refuse_no_files(store)
    names = [entry.path for entry in entries]
    shards = [entry.path for entry in entries if not entry.is_folder and is_shard_name(entry.path)]
    if shards:
        return shards
    splits = [entry.path for entry in entries if entry.is_folder and entry.path in ("train", "validation", "test")]
    if splits:
        raise DataRefusedError(
            "the folder holds a dataset's splits, not shards",
            expected=f"the folder of one split: {', '.join(f'{store.url}/{name}' for name in splits)}",
            place=Place(file=store.url),
            remedy="name the split",
        )
    if WRITER_FILE in names and INDEX_FILE not in names:
        raise _unfinished(store)
    raise DataRefusedError(
        "the folder has no Parquet shards",
        expected="files named *.parquet",
        received=", ".join(names[:5]) or "an empty folder",
        place=Place(file=store.url),
        remedy="name a folder of Parquet shards, or import the data first (kind: import)",
    )


def _refuse_no_files(store: Store) -> None:
    """Refuses broken links and pipes that are named as shards: a listing passes over the first and the second hang.

    Links to files, out of the folder too, are followed: the caches of model and data hubs consist of them.
    """
    if not store.is_local:
        return
    for path in sorted(Path(store.root).iterdir()):
        if is_shard_name(path.name) and not path.is_file() and not path.is_dir():
            raise DataRefusedError(
                "the shard is a link to nothing" if path.is_symlink() else "the shard is no regular file",
                place=Place(file=str(path)),
                remedy="bring the file back, or take it out of the folder",
            )


def _read_index(store: Store, shards: list[str]) -> tuple[RowGroupIndex, str] | None:
    if not store.exists(INDEX_FILE):
        if store.exists(WRITER_FILE):
            raise _unfinished(store)
        return None
    index, fingerprint = read_index(store)
    missing = sorted(set(index.shards) - set(shards))
    added = sorted(set(shards) - set(index.shards))
    if missing or added:
        raise DataRefusedError(
            "the folder's shards are not those that were imported",
            expected=f"{len(index.shards)} shards",
            received="; ".join(
                f"{what}: {', '.join(names[:3])}" for what, names in (("missing", missing), ("added", added)) if names
            ),
            place=Place(file=store.url),
            remedy=_IMPORT_AGAIN,
        )
    return index, fingerprint


def _read_footers(store: Store, shards: list[str], *, measure: bool) -> list[ShardFooter]:
    threads = _REMOTE_THREADS if not store.is_local else _LOCAL_THREADS
    with ThreadPoolExecutor(min(threads, len(shards))) as pool:
        return list(pool.map(lambda shard: read_footer(store, shard, measure=measure), shards))


def _common_schema(store: Store, footers: list[ShardFooter]) -> pa.Schema:
    first = footers[0]
    expected = {field.name: field.type for field in first.schema}
    for footer in footers[1:]:
        received = {field.name: field.type for field in footer.schema}
        if received == expected:
            continue
        differing = [name for name in {**expected, **received} if expected.get(name) != received.get(name)]
        raise DataRefusedError(
            f"the shard's columns differ from those of {first.shard}",
            expected=_describe(expected, differing),
            received=_describe(received, differing),
            place=Place(file=f"{store.url}/{footer.shard}"),
            remedy="write all shards with the same columns and types, or take this one out of the folder",
        )
    return first.schema.remove_metadata()


def _check_against_index(store: Store, index: RowGroupIndex, footers: list[ShardFooter]) -> None:
    starts = np.searchsorted(index.shard, np.arange(len(index.shards) + 1))
    for number, footer in enumerate(footers):
        expected = index.rows[starts[number] : starts[number + 1]]
        if not np.array_equal(expected, footer.rows):
            raise DataRefusedError(
                "the shard is not the one that was imported",
                expected=f"{len(expected)} row groups with {int(expected.sum())} rows",
                received=f"{len(footer.rows)} row groups with {int(footer.rows.sum())} rows",
                place=Place(file=f"{store.url}/{footer.shard}"),
                remedy=_IMPORT_AGAIN,
            )
        if index.footer_sums is not None and int(index.footer_sums[number]) != footer.sum:
            raise DataRefusedError(
                "the shard's footer is not the one that was imported",
                expected=f"sum {int(index.footer_sums[number]):016x}",
                received=f"sum {footer.sum:016x}",
                place=Place(file=f"{store.url}/{footer.shard}"),
                remedy="bring the shard back from a copy, or run the import again",
            )


def _describe(columns: dict[str, pa.DataType], names: list[str]) -> str:
    return ", ".join(f"{name}: {columns.get(name, 'missing')}" for name in names)


def _unfinished(store: Store) -> DataRefusedError:
    return DataRefusedError(
        "the folder is an unfinished import", place=Place(file=store.url), remedy=f"{_IMPORT_AGAIN}; it starts afresh"
    )
