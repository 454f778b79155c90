from pathlib import Path

import pyarrow as pa
import pytest
from small_datasets import write_shard

from mmdist.data.dataset import open_dataset
from mmdist.data.labels import LabelEncoder, learn_labels
from mmdist.errors import DataRefusedError


def invalid_utf8(*values: bytes | None) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def dataset_of(folder: Path, column: pa.Array) -> object:
    write_shard(folder / "part-00000.parquet", pa.table({"label": column}), group_rows=2)
    return open_dataset(str(folder))


def test_learns_sorted_labels_over_row_groups(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, pa.array(["pear", None, "apple", "pear", "fig"]))
    seen: list[int] = []
    assert learn_labels(dataset, "label", seen.append) == ("apple", "fig", "pear")
    assert seen == [2, 4, 5]


def test_integers_are_labels_in_decimal(tmp_path: Path) -> None:
    assert learn_labels(dataset_of(tmp_path, pa.array([10, 9, None, -1])), "label") == ("-1", "10", "9")


def test_one_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefusedError, match="too few labels"):
        learn_labels(dataset_of(tmp_path, pa.array(["a", "a", None])), "label")


def test_a_column_of_names_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "part-0.parquet", pa.table({"label": [str(n) for n in range(100_001)]}), group_rows=200_000)
    with pytest.raises(DataRefusedError, match="does not look like labels"):
        learn_labels(open_dataset(str(tmp_path)), "label")


def test_encodes_and_gives_reasons() -> None:
    column = pa.chunked_array([pa.array(["b", None]), pa.array(["nan", "a"])])
    indices, reasons = LabelEncoder(["a", "b"]).encode(column)
    assert indices.tolist() == [1, 0, 0, 0]
    assert reasons == {1: "no label (null)", 2: "unknown label 'nan'"}


def test_a_long_unknown_label_is_cut_in_its_reason() -> None:
    _, reasons = LabelEncoder(["a", "b"]).encode(pa.chunked_array([["x" * 10_000]]))
    assert len(reasons[0]) < 100


def test_a_label_that_is_no_utf8_has_its_reason() -> None:
    indices, reasons = LabelEncoder(["a", "b"]).encode(pa.chunked_array([invalid_utf8(b"b", b"a\xff", None)]))
    assert indices.tolist() == [1, 0, 0]
    assert reasons == {1: "not valid UTF-8 at byte 1 of 2", 2: "no label (null)"}


def test_dictionary_columns_are_labels_too() -> None:
    column = pa.chunked_array([pa.array(["b", "a", None]).dictionary_encode()])
    indices, reasons = LabelEncoder(["a", "b"]).encode(column)
    assert indices.tolist() == [1, 0, 0]
    assert list(reasons) == [2]


def test_a_blank_label_is_none(tmp_path: Path) -> None:
    column = pa.array(["b", "", "a", " \t"])
    assert learn_labels(dataset_of(tmp_path, column), "label") == ("a", "b")
    _, reasons = LabelEncoder(("a", "b")).encode(pa.chunked_array([column]))
    assert reasons == {1: "no label (blank)", 3: "no label (blank)"}
