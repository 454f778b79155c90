import tracemalloc

import numpy as np
import pytest

from mmdist.data.order import EpochPlan, GlobalPlan, LanesPlan, default_lanes, plan_epoch
from mmdist.errors import JobFileError
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec, OrderSpec


def plan(
    rows: list[int], order: OrderSpec, *, batch: int = 8, seed: int = 0, epoch: int = 0, fingerprint: str = "ab"
) -> EpochPlan:
    return plan_epoch(
        np.array(rows), fingerprint=fingerprint, seed=seed, epoch=epoch, global_batch_size=batch, order=order
    )


def lanes_plan(rows: list[int], *, lanes: int, window: int = 1, batch: int = 8) -> LanesPlan:
    made = plan(rows, LanesOrderSpec(lanes=lanes, window=window), batch=batch)
    assert isinstance(made, LanesPlan)
    return made


def all_rows(made: EpochPlan) -> list[tuple[int, int]]:
    found = []
    for batch in range(made.batches):
        places = made.batch_places(batch, range(made.lanes))
        found += list(zip(places.group.tolist(), places.row.tolist(), strict=True))
    return found


@pytest.mark.parametrize("order", [LanesOrderSpec(lanes=4), GlobalOrderSpec()])
def test_seed_epoch_and_fingerprint_each_change_the_order(order: OrderSpec) -> None:
    orders = [
        all_rows(plan([10] * 8, order)),
        all_rows(plan([10] * 8, order, seed=1)),
        all_rows(plan([10] * 8, order, epoch=1)),
        all_rows(plan([10] * 8, order, fingerprint="ac")),
    ]
    assert len({tuple(rows) for rows in orders}) == 4
    assert len({tuple(sorted(rows)) for rows in orders}) == 1


def test_lanes_do_not_change_with_the_batch_size() -> None:
    small, large = lanes_plan([10, 7, 9], lanes=2, batch=2), lanes_plan([10, 7, 9], lanes=2, batch=8)
    for lane in range(2):
        streams = [np.concatenate([part.row for part in made.lane_batches(lane)]).tolist() for made in (small, large)]
        assert streams[0] == streams[1]


def test_a_lane_is_its_share_of_the_permuted_row_groups() -> None:
    made = lanes_plan([10] * 4, lanes=2)
    groups = [{int(group) for window, _ in made.lane_windows(lane) for group in window.groups} for lane in range(2)]
    assert [len(of_lane) for of_lane in groups] == [2, 2]
    assert groups[0] | groups[1] == {0, 1, 2, 3}


def test_rows_of_a_cut_row_group_are_shuffled_before_the_cut() -> None:
    made = lanes_plan([100], lanes=2)
    halves = [sorted(window.row.tolist()) for lane in range(2) for window, _ in made.lane_windows(lane)]
    assert sorted(halves[0] + halves[1]) == list(range(100))
    assert halves[0] != list(range(50))


def test_a_window_holds_no_more_row_groups_than_asked_and_its_rows_are_mixed() -> None:
    made = lanes_plan([50] * 12, lanes=2, window=3)
    for window, skip in made.lane_windows(0):
        assert skip == 0
        assert len(window.groups) == 3
        assert len(set(window.group[:20].tolist())) > 1


def test_start_batch_skips_rows_of_its_window_and_the_windows_before() -> None:
    made = lanes_plan([10] * 6, lanes=2, batch=8)
    whole = np.concatenate([window.row for window, _ in made.lane_windows(1)])
    window, skip = next(made.lane_windows(1, 4))
    assert (window.number, window.start, skip) == (1, 10, 6)
    assert window.row[skip:].tolist() == whole[16:20].tolist()


def test_lanes_without_rows_are_padding() -> None:
    made = lanes_plan([3], lanes=8, batch=16)
    assert made.batches == 1
    assert sum(made.lane_rows(lane) for lane in range(8)) == 3
    places = made.batch_places(0, range(8))
    assert np.count_nonzero(places.row >= 0) == made.batch_rows(0) == 3
    assert np.array_equal(places.row >= 0, places.group >= 0)


def test_only_the_last_batch_is_padded() -> None:
    for made in (lanes_plan([5, 9, 7, 12], lanes=4), plan([5, 9, 7, 12], GlobalOrderSpec())):
        assert [made.batch_rows(batch) for batch in range(made.batches)] == [8, 8, 8, 8, 1]


def test_row_groups_without_rows_are_passed_over() -> None:
    for order in (LanesOrderSpec(lanes=2), GlobalOrderSpec()):
        found = all_rows(plan([0, 3, 0, 5, 0], order))
        assert {group for group, _ in found} == {1, 3}


def test_no_rows_make_no_batches() -> None:
    for order in (LanesOrderSpec(lanes=2), GlobalOrderSpec()):
        made = plan([], order)
        assert (made.rows, made.batches) == (0, 0)
        assert list(made.lane_batches(0)) == []


def test_beyond_the_end_there_is_nothing() -> None:
    made = lanes_plan([10], lanes=2)
    assert list(made.lane_windows(0, made.batches)) == []
    assert made.batch_rows(made.batches) == 0


def test_global_mixes_rows_of_all_row_groups() -> None:
    made = plan([100] * 10, GlobalOrderSpec(), batch=50)
    assert isinstance(made, GlobalPlan)
    assert len(set(made.batch_places(0, range(50)).group.tolist())) == 10


def test_default_lanes_divide_the_batch() -> None:
    assert [default_lanes(size) for size in (256, 48, 7, 100)] == [32, 16, 1, 4]
    assert plan([100], LanesOrderSpec(), batch=48).lanes == 16


def test_lanes_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(JobFileError, match=r"must divide(.|\n)*divisor of 100(.|\n)*32 lanes(.|\n)*try 4"):
        plan([10], LanesOrderSpec(lanes=32), batch=100)


def test_a_billion_rows_in_a_million_row_groups_fit_in_memory() -> None:
    rows = np.full(1_000_000, 1000)
    tracemalloc.start()
    try:
        for order in (LanesOrderSpec(), GlobalOrderSpec()):
            made = plan_epoch(rows, fingerprint="ab", seed=0, epoch=0, global_batch_size=256, order=order)
            assert made.batches == 3_906_250
            assert len(made.batch_places(made.batches - 1, range(made.lanes))) == 256
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 100e6
