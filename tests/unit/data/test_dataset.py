import hashlib
import json
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_datasets import rows_table, write_folder, write_imported, write_shard

from mmdist.data.content import CANONICAL_COLUMNS
from mmdist.data.dataset import open_dataset
from mmdist.data.index import read_index, write_index
from mmdist.data.roles import check_columns
from mmdist.data.schema_guard import footer_sum
from mmdist.errors import DataRefusedError, JobFileError
from mmdist.spec.data import ColumnsSpec
from mmdist.storage import open_store

ALL = ColumnsSpec(id="id", image="image", text="text", label="label")


def test_shards_of_any_origin_are_opened(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_folder(tmp_path / "data")))
    assert (dataset.rows, len(dataset.index), dataset.card) == (75, 9, None)
    assert dataset.index.shards == ("part-00000.parquet", "part-00001.parquet", "part-00002.parquet")
    assert dataset.index.rows.tolist() == [10, 10, 5] * 3
    assert int(dataset.index.bytes.min()) > 0
    assert not dataset.index.has_sums


def test_every_row_is_read_where_the_index_says(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_imported(tmp_path / "train")))
    tables = [dataset.read_row_group(group, ["text", "id"]) for group in range(len(dataset.index))]
    assert tables[0].column_names == ["text", "id"]
    assert pa.concat_tables(tables)["id"].to_pylist() == [f"row-{number}" for number in range(75)]


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_imported(tmp_path / "train")))
    groups = random.Random(0).choices(range(9), k=200)
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda group: dataset.read_row_group(group, ["id"]), groups))
    firsts = [table["id"][0].as_py() for table in tables]
    assert firsts == [f"row-{dataset.index.first_rows[group]}" for group in groups]
    dataset.readers.close()


def test_other_files_are_not_shards(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data")
    for name in ("README.md", "_SUCCESS", ".part-9.parquet.crc", "_old.parquet"):
        (folder / name).write_text("x")
    assert open_dataset(str(folder)).rows == 75


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: write_shard(folder / "part-00001.parquet", rows_table(0, 5).drop_columns([name]))


def with_type(name: str, values: pa.Array) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        table = rows_table(0, 2)
        write_shard(folder / "part-00001.parquet", table.set_column(table.column_names.index(name), name, values))

    return change


NESTED = pa.array([{"a": [1]}, {"a": [2]}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("text"), r"expected: text: string(.|\n)*received: text: missing"),
        (with_type("label", pa.array([1, 2], pa.int32())), r"expected: label: string(.|\n)*received: label: int32"),
        (with_type("image", pa.array([b"", b""], pa.large_binary())), r"received: image: large_binary"),
        (with_type("text", NESTED), r"received: text: struct<a: list<element: int64>>"),
    ],
)
def test_shards_that_differ_from_the_first_are_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = write_folder(tmp_path / "data")
    change(folder)
    with pytest.raises(
        DataRefusedError,
        match=rf"part-00001.parquet: the shard's columns differ from those of part-00000.parquet\n(.|\n)*{message}",
    ):
        open_dataset(str(folder))


@pytest.mark.parametrize("data", [b"", b"PAR1 nothing much", b"id,text\n1,2\n3,4\n"])
def test_a_shard_that_is_no_parquet_is_named(tmp_path: Path, data: bytes) -> None:
    folder = write_folder(tmp_path / "data")
    (folder / "part-00002.parquet").write_bytes(data)
    with pytest.raises(DataRefusedError, match=r"part-00002.parquet: the (shard|file) is"):
        open_dataset(str(folder))


def test_a_footer_that_points_outside_the_file_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", shards=1)
    path = folder / "part-00000.parquet"
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    # The footer as it was, after only the last tenth of the pages.
    body = data[: -8 - length]
    path.write_bytes(b"PAR1" + body[-len(body) // 10 :] + data[-8 - length :])
    with pytest.raises(DataRefusedError, match=r"places row group \d outside the file(.|\n)*bytes within 0 to"):
        open_dataset(str(folder))


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefusedError, match=r"nowhere: there is no such folder(.|\n)*import the dataset first"):
        open_dataset(str(tmp_path / "nowhere"))
    (tmp_path / "one.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataRefusedError, match=r"one.parquet: the path leads to a file(.|\n)*name the folder"):
        open_dataset(str(tmp_path / "one.parquet"))
    (tmp_path / "one.parquet").unlink()
    with pytest.raises(DataRefusedError, match=r"has no Parquet shards(.|\n)*received: an empty folder"):
        open_dataset(str(tmp_path))
    (tmp_path / "rows.csv").write_text("a")
    with pytest.raises(DataRefusedError, match=r"expected: files named \*.parquet\n  received: rows.csv"):
        open_dataset(str(tmp_path))


def test_a_dataset_in_place_of_its_split_is_refused(tmp_path: Path) -> None:
    write_imported(tmp_path / "train")
    with pytest.raises(DataRefusedError, match=r"holds a dataset's splits, not shards(.|\n)*/train"):
        open_dataset(str(tmp_path))


def test_shards_without_rows_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.parquet", rows_table(0, 0))
    with pytest.raises(DataRefusedError, match="the dataset has no rows"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize("has_shards", [True, False])
def test_an_unfinished_import_is_refused(tmp_path: Path, has_shards: bool) -> None:
    folder = write_folder(tmp_path / "train", shards=2 if has_shards else 0)
    (folder / "_mmdist.json").write_text("{}")
    with pytest.raises(DataRefusedError, match=r"unfinished import\n  to do: run the import again"):
        open_dataset(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "part-00001.parquet").unlink(), r"received: missing: part-00001.parquet"),
        (lambda folder: write_shard(folder / "z.parquet", rows_table(0, 5)), r"received: added: z.parquet"),
        (
            lambda folder: write_shard(folder / "part-00001.parquet", rows_table(0, 24)),
            r"part-00001.parquet: the shard is not the one(.|\n)*3 row groups with 25 rows(.|\n)*with 24 rows",
        ),
    ],
)
def test_an_import_whose_shards_changed_is_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    folder = write_imported(tmp_path / "train")
    change(folder)
    with pytest.raises(DataRefusedError, match=rf"{message}(.|\n)*run the import again"):
        open_dataset(str(folder))


def test_an_index_that_was_altered_is_refused(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train")
    path = folder / "_index.parquet"
    table = pq.read_table(path)
    sums = pa.array([value.as_py() ^ 1 for value in table["content_sum_text"]], pa.uint64())
    position = table.column_names.index("content_sum_text")
    pq.write_table(
        table.set_column(position, "content_sum_text", sums).replace_schema_metadata(table.schema.metadata), path
    )
    with pytest.raises(DataRefusedError, match="does not agree with its own fingerprint"):
        open_dataset(str(folder))


def test_the_card_is_read_where_it_is_committed(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train")
    card = json.dumps({"name": "rows"}).encode()
    (tmp_path / "dataset.json").write_bytes(card)
    assert open_dataset(str(folder)).card is None
    (tmp_path / "COMMITTED").write_text(hashlib.sha256(card).hexdigest())
    assert open_dataset(str(folder)).card == {"name": "rows"}
    (tmp_path / "COMMITTED").write_text("0" * 64)
    with pytest.raises(DataRefusedError, match=r"dataset.json: the dataset's card does not agree with its marker"):
        open_dataset(str(folder))


def test_bit_flips_in_pages_are_never_used_silently(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train", shards=1, shard_rows=200, group_rows=100)
    path = folder / "part-00000.parquet"
    whole = path.read_bytes()
    expected = open_dataset(str(folder)).read_row_group(1, CANONICAL_COLUMNS)
    pages_end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    draw = random.Random(0)
    refused = []
    for _ in range(300):
        at = draw.randrange(4, pages_end)
        damaged = bytearray(whole)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        dataset = open_dataset(str(folder))
        try:
            tables = [dataset.read_row_group(group, CANONICAL_COLUMNS) for group in range(2)]
        except DataRefusedError as error:
            refused.append(str(error))
            continue
        # A flip in a page header's statistics reads as if nothing had happened.
        assert tables[1].equals(expected)
    assert len(refused) > 250
    assert all(re.search(r"part-00000.parquet: row group [01] of the shard is damaged", text) for text in refused)


def test_a_shard_replaced_while_it_is_open_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", shards=1)
    dataset = open_dataset(str(folder))
    write_shard(folder / "part-00000.parquet", rows_table(0, 25), group_rows=8)
    with pytest.raises(DataRefusedError, match=r"part-00000.parquet: the shard was replaced or altered after"):
        dataset.read_row_group(0, ["id"])


def test_a_column_that_no_shard_has_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_folder(tmp_path / "data", shards=1)))
    with pytest.raises(DataRefusedError, match=r"index describes\n(.|\n)*10 rows of id, texts(.|\n)*10 rows of id"):
        dataset.read_row_group(0, ["id", "texts"])


def test_a_footer_that_is_not_the_imported_one_is_refused(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train", shards=2)
    index, _ = read_index(open_store(str(folder)))
    sums = [footer_sum(open_store(str(folder)), shard) for shard in index.shards]
    write_index(open_store(str(folder)), replace(index, footer_sums=np.array(sums, np.uint64)), open_schema(folder))
    assert open_dataset(str(folder)).index.footer_sums.tolist() == sums
    path = folder / "part-00001.parquet"
    again = pq.read_table(path).replace_schema_metadata({"made": "twice"})  # the same rows in the same row groups
    write_shard(path, again)
    with pytest.raises(DataRefusedError, match=r"part-00001.parquet: the shard's footer is not the one that was"):
        open_dataset(str(folder))


def test_a_split_that_its_card_describes_otherwise_is_refused(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train")
    card = {"splits": {"train": {"fingerprint": open_dataset(str(folder)).fingerprint}}}
    write_card(tmp_path, card)
    assert open_dataset(str(folder)).card == card
    card["splits"]["train"]["fingerprint"] = "0" * 64
    write_card(tmp_path, card)
    with pytest.raises(DataRefusedError, match=r"train: the split is not the one that the dataset's card describes"):
        open_dataset(str(folder))


def open_schema(folder: Path) -> pa.Schema:
    return pq.read_schema(folder / "part-00000.parquet")


def write_card(folder: Path, card: dict[str, object]) -> None:
    data = json.dumps(card).encode()
    (folder / "dataset.json").write_bytes(data)
    (folder / "COMMITTED").write_text(hashlib.sha256(data).hexdigest())


def test_columns_are_checked_by_name_and_type(tmp_path: Path) -> None:
    table = rows_table(0, 4).append_column("score", pa.array([0.5, 1.0, float("nan"), None]))
    write_shard(tmp_path / "a.parquet", table)
    dataset = open_dataset(str(tmp_path))
    check_columns(dataset, ALL)
    with pytest.raises(
        JobFileError, match=r"key data.columns.label: (.|\n)*no column `lable`(.|\n)*mean `label`"
    ) as caught:
        check_columns(dataset, ColumnsSpec(label="lable"))
    assert caught.value.place is not None
    assert caught.value.place.key == "data.columns.label"
    with pytest.raises(JobFileError, match="leave `text` out where the data has none"):
        check_columns(dataset, ColumnsSpec(text="zzz"))
    with pytest.raises(DataRefusedError, match=r"column `score` cannot be read as label(.|\n)*received: double"):
        check_columns(dataset, ColumnsSpec(label="score"))
    with pytest.raises(DataRefusedError, match=r"column `text` cannot be read as image(.|\n)*received: string"):
        check_columns(dataset, ColumnsSpec(image="text"))


def test_the_ledger_keys_rows_as_importing_did(tmp_path: Path) -> None:
    imported = open_dataset(str(write_imported(tmp_path / "imported")))
    assert imported.columns_to_read(ColumnsSpec(text="text")) == ("text", "id")
    assert imported.hashed_columns(ColumnsSpec(text="text")).key == "id"
    plain = open_dataset(str(write_folder(tmp_path / "plain")))
    assert plain.columns_to_read(ColumnsSpec(text="text")) == ("text",)
    assert plain.hashed_columns(ColumnsSpec(text="text")).key is None
    assert plain.hashed_columns(ColumnsSpec(id="text", text="text")).names == ("text",)
