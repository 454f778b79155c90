"""Any workers, cut and resumed anywhere, see together what one uninterrupted reader sees."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdist.data.order import EpochPlan, LanesPlan, Places, plan_epoch
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec


@st.composite
def plans(draw: st.DrawFn) -> EpochPlan:
    group_rows = draw(st.lists(st.one_of(st.just(1), st.integers(0, 40)), min_size=1, max_size=30))
    lanes = draw(st.sampled_from([1, 2, 3, 4, 6, 8, 12]))
    order = draw(
        st.one_of(st.just(GlobalOrderSpec()), st.builds(LanesOrderSpec, lanes=st.just(lanes), window=st.integers(1, 4)))
    )
    return plan_epoch(
        np.array(group_rows),
        fingerprint=draw(st.sampled_from(["ab", "cd"])),
        seed=draw(st.integers(0, 3)),
        epoch=draw(st.integers(0, 3)),
        global_batch_size=lanes * draw(st.integers(1, 5)),
        order=order,
    )


def uninterrupted(plan: EpochPlan) -> list[list[tuple[int, int]]]:
    return [pairs(plan.batch_places(batch, range(plan.lanes))) for batch in range(plan.batches)]


def pairs(places: Places) -> list[tuple[int, int]]:
    return list(zip(places.group.tolist(), places.row.tolist(), strict=True))


def workers_of(plan: EpochPlan, count: int) -> list[range]:
    share = plan.lanes // count
    return [range(worker * share, (worker + 1) * share) for worker in range(count)]


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_each_row_once_and_padding_only_at_the_end(plan: EpochPlan) -> None:
    batches = uninterrupted(plan)
    real = [pair for batch in batches for pair in batch if pair != (-1, -1)]
    assert len(set(real)) == len(real) == plan.rows
    assert [sum(pair != (-1, -1) for pair in batch) for batch in batches] == [
        plan.batch_rows(batch) for batch in range(plan.batches)
    ]
    assert all(plan.batch_rows(batch) == plan.global_batch_size for batch in range(plan.batches - 1))
    assert sum(plan.lane_rows(lane) for lane in range(plan.lanes)) == plan.rows


@settings(max_examples=150, deadline=None)
@given(plan=plans(), data=st.data())
def test_any_workers_cut_anywhere_give_the_uninterrupted_stream(plan: EpochPlan, data: st.DataObject) -> None:
    divisors = [count for count in range(1, plan.lanes + 1) if plan.lanes % count == 0]
    cuts = sorted(data.draw(st.lists(st.integers(0, plan.batches), max_size=4)))
    merged: list[list[tuple[int, int]]] = []
    for start, end in zip([0, *cuts], [*cuts, plan.batches], strict=True):
        workers = workers_of(plan, data.draw(st.sampled_from(divisors)))
        # Each attempt may have other workers, and each worker streams its lanes from the cut on.
        streams = [[plan.lane_batches(lane, start) for lane in lanes] for lanes in workers]
        for _ in range(start, end):
            batch = []
            for lanes in streams:
                for lane in lanes:
                    places = pairs(next(lane))
                    batch += places + [(-1, -1)] * (plan.lane_places - len(places))
            merged.append(batch)
    assert merged == uninterrupted(plan)


@settings(max_examples=100, deadline=None)
@given(plan=plans(), data=st.data())
def test_windows_of_a_lane_hold_its_rows_from_any_batch_on(plan: EpochPlan, data: st.DataObject) -> None:
    if not isinstance(plan, LanesPlan):
        return
    lane = data.draw(st.integers(0, plan.lanes - 1))
    start = data.draw(st.integers(0, plan.batches))
    expected = [pair for places in plan.lane_batches(lane) for pair in pairs(places)][start * plan.lane_places :]
    found = []
    for window, skip in plan.lane_windows(lane, start):
        assert len(window.groups) <= plan.window
        assert set(window.group.tolist()) == set(window.groups.tolist())
        found += list(zip(window.group[skip:].tolist(), window.row[skip:].tolist(), strict=True))
    assert found == expected
