"""Small datasets for the tests of mmdist.data."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.content import content_sums
from mmdist.data.index import RowGroupFacts, RowGroupIndex, write_index
from mmdist.storage import open_store


def rows_table(first: int, count: int) -> pa.Table:
    """Rows with all canonical columns, each value different from every other row's."""
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array([f"row-{number}" for number in numbers], pa.string()),
            "image": pa.array([f"image {number} ".encode() * 40 for number in numbers], pa.binary()),
            "text": pa.array([f"text {number}" for number in numbers], pa.string()),
            "label": pa.array([f"label-{number % 3}" for number in numbers], pa.string()),
        }
    )


def write_shard(path: Path, table: pa.Table, *, group_rows: int = 10) -> None:
    """A shard as importing writes it: checksums on, pictures as they are."""
    pq.write_table(
        table,
        path,
        row_group_size=group_rows,
        write_page_checksum=True,
        compression={name: "none" if name == "image" else "zstd" for name in table.column_names},
        use_dictionary=[name for name in table.column_names if name == "label"],
    )


def write_folder(folder: Path, *, shards: int = 3, shard_rows: int = 25, group_rows: int = 10) -> Path:
    """A folder of shards without an index."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        write_shard(
            folder / f"part-{number:05d}.parquet", rows_table(number * shard_rows, shard_rows), group_rows=group_rows
        )
    return folder


def index_of(folder: Path) -> RowGroupIndex:
    """The index that importing would write for the shards of a folder."""
    facts = []
    for path in sorted(folder.glob("*.parquet")):
        if path.name.startswith("_"):
            continue
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            facts.append(RowGroupFacts(path.name, number, table.num_rows, table.nbytes, content_sums(table)))
    return RowGroupIndex.of(facts)


def write_imported(folder: Path, **shape: int) -> Path:
    """A split as importing leaves it: shards, marker file and index."""
    write_folder(folder, **shape)
    (folder / "_mmdist.json").write_text('{"version": 1}')
    schema = pq.read_schema(folder / "part-00000.parquet")
    write_index(open_store(str(folder)), index_of(folder), schema)
    return folder
