from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_datasets import index_of, write_folder

from mmdist.data.index import INDEX_FILE, RowGroupFacts, RowGroupIndex, is_shard_name, read_index, write_index
from mmdist.errors import DataRefusedError
from mmdist.storage import Store, open_store

SCHEMA = pa.schema({"id": pa.string(), "text": pa.string()})


def facts(shard: str = "a.parquet", row_group: int = 0, rows: int = 3, text: int = 7) -> RowGroupFacts:
    return RowGroupFacts(shard, row_group, rows, 100, {"id": 5, "text": text})


@pytest.fixture
def split(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def rewrite(split: Store, change: str, values: list[object]) -> None:
    table = pq.read_table(Path(split.root) / INDEX_FILE)
    position = table.column_names.index(change)
    kind = pa.string() if change == "shard" else table.schema.field(change).type
    pq.write_table(
        table.set_column(position, change, pa.array(values, kind)).replace_schema_metadata(table.schema.metadata),
        Path(split.root) / INDEX_FILE,
    )


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    index = index_of(write_folder(tmp_path / "data"))
    split = open_store(str(tmp_path))
    fingerprint = write_index(split, index, SCHEMA)
    found, stored = read_index(split)
    assert stored == fingerprint == found.fingerprint(SCHEMA)
    assert found.shards == index.shards
    for name in ("shard", "row_group", "rows", "bytes"):
        assert np.array_equal(getattr(found, name), getattr(index, name))
        assert getattr(found, name).dtype == getattr(index, name).dtype
    for name in ("id", "image", "text", "label"):
        assert np.array_equal(found.content_sums[name], index.content_sums[name])


def test_sums_of_columns_that_are_not_there_stay_away(split: Store) -> None:
    write_index(split, RowGroupIndex.of([facts()]), SCHEMA)
    assert sorted(read_index(split)[0].content_sums) == ["id", "text"]


def test_row_groups_are_numbered_by_shard_and_place() -> None:
    index = RowGroupIndex.of([facts("b.parquet", 0, 5), facts("a.parquet", 1, 2), facts("a.parquet", 0, 3)])
    assert index.shards == ("a.parquet", "b.parquet")
    assert index.rows.tolist() == [3, 2, 5]
    assert index.first_rows.tolist() == [0, 3, 5]
    assert index.total_rows == 10
    assert [index.shard_name(group) for group in range(3)] == ["a.parquet", "a.parquet", "b.parquet"]


def test_a_row_is_located_in_its_shard() -> None:
    index = RowGroupIndex.of(
        [facts("a.parquet", 0, 2), facts("a.parquet", 1, 0), facts("a.parquet", 2, 3), facts("b.parquet", 0, 2)]
    )
    located = [index.locate(row) for row in range(index.total_rows)]
    assert located == [*(("a.parquet", row) for row in range(5)), ("b.parquet", 0), ("b.parquet", 1)]


def test_the_fingerprint_names_rows_content_and_schema() -> None:
    same = RowGroupIndex.of([facts(), facts("b.parquet")]).fingerprint(SCHEMA)
    others = [
        RowGroupIndex.of([facts(rows=4), facts("b.parquet")]).fingerprint(SCHEMA),
        RowGroupIndex.of([facts(text=8), facts("b.parquet")]).fingerprint(SCHEMA),
        RowGroupIndex.of([facts(), facts("c.parquet")]).fingerprint(SCHEMA),
        RowGroupIndex.of([facts(), facts("b.parquet", 1)]).fingerprint(SCHEMA),
        RowGroupIndex.of([facts(), facts("b.parquet")]).fingerprint(pa.schema({"id": pa.string()})),
    ]
    assert len({same, *others}) == 6
    assert same == RowGroupIndex.of([facts("b.parquet"), facts()]).fingerprint(SCHEMA.with_metadata({"made": "twice"}))


def test_bytes_stand_in_where_sums_are_unknown() -> None:
    one = RowGroupIndex.of([RowGroupFacts("a.parquet", 0, 3, 100, {})])
    other = RowGroupIndex.of([RowGroupFacts("a.parquet", 0, 3, 101, {})])
    assert not one.has_sums
    assert one.fingerprint(SCHEMA) != other.fingerprint(SCHEMA)


@pytest.mark.parametrize(
    ("change", "values", "message"),
    [
        ("shard", ["../x.parquet", "b.parquet"], "names a file that is no shard"),
        ("shard", ["/etc/x.parquet", "b.parquet"], "names a file that is no shard"),
        ("shard", ["_index.parquet", "b.parquet"], "names a file that is no shard"),
        ("shard", ["b.parquet", "a.parquet"], "is not in order"),
        ("shard", ["a.parquet", "a.parquet"], "is not in order"),
        ("rows", [3, -1], "negative row count"),
        ("rows", [3, None], "cannot be read"),
    ],
)
def test_an_index_that_cannot_be_is_refused(split: Store, change: str, values: list[object], message: str) -> None:
    write_index(split, RowGroupIndex.of([facts(), facts("b.parquet")]), SCHEMA)
    rewrite(split, change, values)
    with pytest.raises(DataRefusedError, match=rf"_index.parquet: the index (.*){message}(.|\n)*run the import again"):
        read_index(split)


def test_an_index_with_an_extension_type_is_refused(split: Store) -> None:
    write_index(split, RowGroupIndex.of([facts()]), SCHEMA)
    path = Path(split.root) / INDEX_FILE
    field = pa.field("more", pa.string(), metadata={"ARROW:extension:name": "x"})
    pq.write_table(pq.read_table(path).append_column(field, pa.array(["a"])), path)
    with pytest.raises(DataRefusedError, match=r"index cannot be read(.|\n)*extension type"):
        read_index(split)


def test_a_damaged_index_is_refused(split: Store) -> None:
    write_index(split, RowGroupIndex.of([facts()]), SCHEMA)
    data = split.read_bytes(INDEX_FILE)
    split.write_bytes(INDEX_FILE, data[: len(data) // 2])
    with pytest.raises(DataRefusedError, match="the index cannot be read"):
        read_index(split)


def test_an_index_of_another_version_is_refused(split: Store) -> None:
    write_index(split, RowGroupIndex.of([facts()]), SCHEMA)
    path = Path(split.root) / INDEX_FILE
    pq.write_table(pq.read_table(path).replace_schema_metadata({"mmdist": '{"version": 9}'}), path)
    with pytest.raises(DataRefusedError, match=r"another version(.|\n)*version 9"):
        read_index(split)


@pytest.mark.parametrize(
    ("name", "is_shard"),
    [("a.parquet", True), ("a.csv", False), ("_a.parquet", False), (".a.parquet", False), ("x/a.parquet", False)],
)
def test_only_plain_parquet_files_are_shards(name: str, is_shard: bool) -> None:
    assert is_shard_name(name) is is_shard
