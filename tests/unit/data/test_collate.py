"""What becomes of each kind of bad or incomplete row, and of whole columns that cannot play their part."""

import pickle
import re

import numpy as np
import pyarrow as pa
import pytest
from pictures import SIDE, jpeg, pixels

from mmdist.data.collate import Collator
from mmdist.data.labels import LabelEncoder
from mmdist.data.prepare import RowOrigin
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.text import TextSpec

ALL = ColumnsSpec(id="id", image="image", text="text", label="label")
TOKENIZER = learn_from_texts(["red green blue"], TextSpec(tokens=4))
GOOD = {"id": "r", "image": jpeg(), "text": "red", "label": "b"}


def collator(columns: ColumnsSpec = ALL, labels: tuple[str, ...] | None = ("a", "b"), threads: int = 2) -> Collator:
    return Collator(
        columns,
        image_size=(SIDE, SIDE) if columns.image else None,
        tokenizer=TOKENIZER if columns.text else None,
        target=None if labels is None else LabelEncoder(labels),
        threads=threads,
    )


def table(**changes: object) -> pa.Table:
    """One good row, one with the changes, one good row again."""
    rows = [GOOD, {**GOOD, **changes}, GOOD]
    kinds = {"id": pa.string(), "image": pa.binary(), "text": pa.binary(), "label": pa.string()}
    columns = {}
    for name, kind in kinds.items():
        values = [row[name] for row in rows]
        if name == "text":  # Arrow strings may hold any bytes
            values = [value.encode() if isinstance(value, str) else value for value in values]
            columns[name] = pa.array(values, kind).view(pa.string())
        else:
            columns[name] = pa.array(values, kind)
    return pa.table(columns)


BAD = {
    "picture of 0 bytes": ({"image": b""}, "image", "empty: 0 bytes"),
    "picture cut": ({"image": jpeg()[:-100]}, "image", "JPEG that cannot be decoded"),
    "picture of another type": ({"image": b"%PDF-1.7"}, "image", "PDF, which is not read"),
    "text no UTF-8": ({"text": b"caf\xe9"}, "text", "not valid UTF-8 at byte 3 of 4"),
    "text with a lone surrogate": ({"text": b"\xed\xa0\x80"}, "text", "not valid UTF-8 at byte 0 of 3"),
    "label null": ({"label": None}, "label", r"no label \(null\)"),
    "label unknown": ({"label": "c"}, "label", "unknown label 'c'"),
    "label NaN": ({"label": "nan"}, "label", "unknown label 'nan'"),
    "nothing at all": ({"image": None, "text": None}, "", r"no picture \(null\) and no text \(null, empty or blank\)"),
    "nothing but blanks": ({"image": None, "text": " \n"}, "", "no picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_masked_with_its_reason_and_takes_no_other_with_it(name: str) -> None:
    changes, column, reason = BAD[name]
    batch = collator().collate(table(**changes), origin=RowOrigin("part-1.parquet", 10, 110))
    assert batch.mask.tolist() == [1, 0, 1]
    (row,) = batch.bad
    assert (row.shard, row.row, row.id, row.column) == ("part-1.parquet", 11, "r", column)
    assert re.search(reason, row.reason)
    assert batch.label.tolist() == [1, 0, 1]
    assert not batch.image[1].any()
    assert not batch.text[1].any()
    assert batch.image_present.tolist() == batch.text_present.tolist() == [True, False, True]
    for place in (0, 2):
        assert np.abs(batch.image[place].astype(int) - pixels()).max() <= 4
    assert batch.row.tolist() == [110, 111, 112]


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_row_may_lack_its_text(text: str | None) -> None:
    batch = collator().collate(table(text=text))
    assert (batch.rows, batch.bad) == (3, [])
    assert batch.text_present.tolist() == [True, False, True]
    assert batch.image_present.all()


def test_a_row_may_lack_its_picture() -> None:
    batch = collator().collate(table(image=None))
    assert (batch.rows, batch.bad) == (3, [])
    assert batch.image_present.tolist() == [True, False, True]
    assert not batch.image[1].any()


@pytest.mark.parametrize("part", ["image", "text"])
def test_a_row_without_the_only_part_that_is_read_is_bad(part: str) -> None:
    batch = collator(ColumnsSpec(**{part: part, "label": "label"})).collate(table(**{part: None}))
    assert batch.mask.tolist() == [1, 0, 1]
    assert [row.column for row in batch.bad] == [part]


def test_rows_without_an_id_are_named_by_shard_and_number() -> None:
    batch = collator().collate(table(id=None), size=5, origin=RowOrigin("part-1.parquet", 10))
    assert batch.ids == ["r", "part-1.parquet#11", "r", None, None]
    unnamed = collator(ColumnsSpec(text="text", label="label")).collate(table(), origin=RowOrigin("s"))
    assert unnamed.ids == ["s#0", "s#1", "s#2"]


def test_an_id_that_is_no_utf8_is_bad() -> None:
    ids = pa.array([b"a", b"\xff", b"c"], pa.binary()).view(pa.string())
    batch = collator().collate(table().set_column(0, "id", ids))
    assert [(row.id, row.column) for row in batch.bad] == [("#1", "id")]


def test_padding_is_masked_and_no_bad_row() -> None:
    batch = collator().collate(table(), size=6, index=4)
    assert (batch.index, batch.size, batch.rows, batch.bad) == (4, 6, 3, [])
    assert batch.mask.tolist() == [1, 1, 1, 0, 0, 0]
    assert batch.row.tolist() == [0, 1, 2, -1, -1, -1]
    assert (batch.image.dtype, batch.text.dtype, batch.label.dtype) == (np.uint8, np.int32, np.int32)


def test_without_labels_the_label_column_is_not_looked_at() -> None:
    batch = collator(labels=None).collate(table(label="no label of ours"))
    assert batch.label is None
    assert batch.rows == 3
    assert collator(labels=None).read_columns.label is None


def test_integer_ids_and_labels_are_decimal_strings() -> None:
    whole = table().set_column(0, "id", pa.array([7, None, -1])).set_column(3, "label", pa.array([10, 9, 11]))
    batch = collator(labels=("10", "9")).collate(whole)
    assert batch.ids == ["7", "#1", "-1"]
    assert [row.reason for row in batch.bad] == ["unknown label '11'"]


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary()])
def test_chunked_and_sliced_pictures_are_found(kind: pa.DataType) -> None:
    shades = [jpeg(np.full((SIDE, SIDE, 3), 10 * number, np.uint8)) for number in range(8)]
    chunks = [pa.array(["junk", *shades[:3]], kind)[1:], pa.array([], kind), pa.array([None, *shades[3:]], kind)]
    column = pa.chunked_array(chunks).slice(1)
    batch = collator(ColumnsSpec(image="image"), labels=None).collate(pa.table({"image": column}))
    assert batch.image[:, 5, 5, 0].tolist() == pytest.approx([10, 20, 0, 30, 40, 50, 60, 70], abs=2)
    assert [row.row for row in batch.bad] == [2]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", pa.array([1.0, float("nan"), 2.0]), "column label cannot be the label"),
        ("image", pa.array(["a", "b", "c"]), "column image cannot be the image"),
        ("text", pa.array([1, 2, 3]), "column text cannot be the text"),
        ("id", pa.array([1.0, 2.0, 3.0]), "column id cannot be the id"),
    ],
)
def test_a_column_of_the_wrong_type_is_refused(column: str, values: pa.Array, message: str) -> None:
    whole = table()
    changed = whole.set_column(whole.column_names.index(column), column, values)
    with pytest.raises(DataRefusedError, match=message):
        collator().collate(changed)


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(DataRefusedError, match="there is no column text for the text"):
        collator().collate(table().drop_columns(["text"]))


def test_threads_change_nothing_and_a_collator_can_be_sent_to_another_process() -> None:
    whole = pa.concat_tables([table(image=b""), table(), table(text=None)] * 20)
    one = collator(threads=1).collate(whole)
    four = pickle.loads(pickle.dumps(collator(threads=4))).collate(whole)
    assert np.array_equal(one.image, four.image)
    assert one.bad == four.bad
    assert len(one.bad) == 20


def test_a_collator_says_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="needs image_size"):
        Collator(ColumnsSpec(image="image"))
    with pytest.raises(ValueError, match="needs a tokenizer"):
        Collator(ColumnsSpec(text="text"))
