from hypothesis import given
from hypothesis import strategies as st

from mmdist.prediction.ranges import plan_ranges

group_rows = st.lists(st.integers(0, 9_000), max_size=300)


@given(group_rows, st.integers(1, 5_000))
def test_every_row_is_in_one_range_in_order(rows: list[int], labels: int) -> None:
    ranges = plan_ranges(rows, labels=labels)
    next_group = next_row = 0
    for number, range_ in enumerate(ranges):
        assert (range_.number, range_.first_group, range_.first_row) == (number, next_group, next_row)
        assert range_.rows == sum(rows[range_.first_group : range_.stop_group]) > 0
        next_group, next_row = range_.stop_group, next_row + range_.rows
    assert next_row == sum(rows)


@given(group_rows, st.integers(1, 5_000))
def test_a_range_of_several_groups_is_bounded(rows: list[int], labels: int) -> None:
    for range_ in plan_ranges(rows, labels=labels):
        full = [count for count in rows[range_.first_group : range_.stop_group] if count]
        assert len(full) == 1 or range_.rows * labels <= max(16_777_216, labels)


def test_the_number_of_shards_grows_slower_than_the_dataset() -> None:
    shards = [len(plan_ranges([1_000] * (rows // 1_000), labels=8)) for rows in (10_000, 1_000_000, 100_000_000)]
    assert shards == [3, 250, 1_539]


def test_shards_are_named_by_their_range() -> None:
    assert [range_.shard for range_ in plan_ranges([4_096, 1], labels=2)] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
