import numpy as np
import pyarrow as pa
import pytest
import xxhash
from small_datasets import rows_table

from mmdist.data.content import HashedColumns, content_sums, group_weights, row_hashes, stored_columns, weighted_sums
from mmdist.errors import DataRefusedError

ALL = stored_columns(["id", "image", "text", "label"])


def hashes(table: pa.Table, columns: HashedColumns = ALL) -> dict[str, np.ndarray]:
    return row_hashes(table, columns, positions=np.arange(table.num_rows))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def test_a_hash_is_what_the_design_note_states() -> None:
    table = pa.table({"id": ["a"], "text": ["b"]})
    key = xxhash.xxh3_64_intdigest(b"a")
    found = row_hashes(table, HashedColumns("id", ("id", "text")), positions=np.array([0]))
    assert found["id"].tolist() == [key]
    assert found["text"].tolist() == [xxhash.xxh3_64_intdigest(b"b") * (key | 1) % 2**64]


def test_hashes_do_not_depend_on_order_chunks_or_widths() -> None:
    table = rows_table(0, 20)
    whole = hashes(table)
    turned = hashes(table.take(list(range(19, -1, -1))))
    chunked = hashes(pa.concat_tables([table.slice(0, 7), table.slice(7, 1), table.slice(8)]))
    wide = hashes(
        with_column(
            with_column(table, "text", table["text"].cast(pa.large_string())),
            "label",
            table["label"].dictionary_encode(),
        )
    )
    for name in ALL.names:
        assert np.array_equal(whole[name], turned[name][::-1])
        assert np.array_equal(whole[name], chunked[name])
        assert np.array_equal(whole[name], wide[name])


def test_integers_hash_alike_in_any_width() -> None:
    narrow = pa.table({"label": pa.array([1, -2, None], pa.int8())})
    wide = pa.table({"label": pa.array([1, -2, None], pa.int64())})
    columns = HashedColumns(None, ("label",))
    assert np.array_equal(hashes(narrow, columns)["label"], hashes(wide, columns)["label"])


@pytest.mark.parametrize("name", ["image", "text", "label"])
def test_values_swapped_between_two_rows_change_only_their_columns_sum(name: str) -> None:
    table = rows_table(0, 10)
    order = [1, 0, *range(2, 10)]
    swapped = with_column(table, name, table[name].take(order))
    before, after = content_sums(table), content_sums(swapped)
    assert {column for column in before if before[column] != after[column]} == {name}


@pytest.mark.parametrize("value", [None, "", "null"])
def test_null_empty_and_the_word_null_differ(value: str | None) -> None:
    sums = {
        other: content_sums(pa.table({"id": ["a"], "text": pa.array([other], pa.string())}))["text"]
        for other in (None, "", "null")
    }
    others = {sums[other] for other in sums if other != value}
    assert sums[value] not in others
    assert len(others) == 2


def test_rows_without_an_id_are_keyed_by_position() -> None:
    texts = pa.table({"text": ["a", "b"]})
    swapped = pa.table({"text": ["b", "a"]})
    assert content_sums(texts)["text"] != content_sums(swapped)["text"]
    nulls = pa.table({"id": pa.array([None, None], pa.string()), "text": ["a", "b"]})
    assert len(set(hashes(nulls, HashedColumns("id", ("id", "text")))["id"].tolist())) == 2


def test_positions_key_the_same_row_wherever_it_is_read() -> None:
    table = pa.table({"text": ["a", "b", "c"]})
    columns = HashedColumns(None, ("text",))
    whole = row_hashes(table, columns, positions=np.array([0, 1, 2]))["text"]
    taken = row_hashes(table.take([2, 0]), columns, positions=np.array([2, 0]))["text"]
    assert taken.tolist() == [whole[2], whole[0]]


def test_sums_of_row_groups_weigh_as_their_rows_do() -> None:
    table = rows_table(0, 30)
    groups = np.repeat([0, 5, 1000], 10)
    of_rows = weighted_sums(hashes(table), groups)
    sums = [content_sums(table.slice(start, 10)) for start in (0, 10, 20)]
    of_groups = weighted_sums(
        {name: np.array([part[name] for part in sums], np.uint64) for name in ALL.names}, np.array([0, 5, 1000])
    )
    assert of_rows == of_groups


def test_weights_are_odd_and_distinct() -> None:
    weights = group_weights(np.arange(100_000))
    assert np.all(weights % np.uint64(2) == 1)
    assert len(np.unique(weights)) == 100_000


def test_an_empty_table_sums_to_nothing() -> None:
    assert set(content_sums(rows_table(0, 0)).values()) == {0}


def test_a_column_without_bytes_is_refused() -> None:
    with pytest.raises(DataRefusedError, match=r"label(.|\n)*cannot be hashed(.|\n)*received: list<item: string>"):
        content_sums(pa.table({"label": [["a"]]}))


def test_every_column_that_a_job_may_read_is_summed() -> None:
    table = rows_table(0, 5).append_column("author", pa.array([f"author {n}" for n in range(5)]))
    altered = table.set_column(4, "author", pa.array([*table["author"].to_pylist()[:4], "another"]))
    before, after = content_sums(table), content_sums(altered)
    assert [name for name in before if before[name] != after[name]] == ["author"]
