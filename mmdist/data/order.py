"""The order of samples: a pure function of dataset, seed, epoch, global batch size and order. No I/O.

It knows nothing of workers, replicas, restarts or timing. docs/design/0001-order-of-samples.md states it precisely
enough to write it again in another language; tests/golden pins it.
"""

from math import gcd
from typing import assert_never

import numpy as np

from mmdist.data.order_global import GlobalPlan
from mmdist.data.order_lanes import LanesPlan, LaneWindow
from mmdist.data.permutation import Int64Array, OrderKey
from mmdist.data.places import Places
from mmdist.errors import JobFileError, Place
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec, OrderSpec

__all__ = ["EpochPlan", "GlobalPlan", "LaneWindow", "LanesPlan", "Places", "default_lanes", "plan_epoch"]

EpochPlan = LanesPlan | GlobalPlan
"""One epoch. Both kinds have `rows`, `batches`, `lanes`, `lane_places`, `global_batch_size`, `lane_rows(lane)`,
`batch_rows(batch)`, `lane_batches(lane, start_batch)` and `batch_places(batch, lanes)`; a `LanesPlan` has
`lane_windows(lane, start_batch)` besides, for readers that hold one window of a lane at a time."""


def plan_epoch(
    group_rows: Int64Array, *, fingerprint: str, seed: int, epoch: int, global_batch_size: int, order: OrderSpec
) -> EpochPlan:
    """Plans an epoch.

    Args:
        group_rows: int64 (n,), rows of each row group of the dataset's index, `RowGroupIndex.rows`. 0 is allowed.
        fingerprint: The dataset's.
        seed: The job's.
        epoch: From 0.
        global_batch_size: Places of a batch over all workers and replicas.
        order: Which order.

    Returns:
        The plan. It holds 24 bytes per row group and nothing per row.

    Raises:
        JobFileError: when the lanes do not divide the global batch size.
    """
    key = OrderKey(fingerprint, seed, epoch)
    group_rows = np.asarray(group_rows, np.int64)
    match order:
        case LanesOrderSpec():
            lanes = order.lanes or default_lanes(global_batch_size)
            if global_batch_size % lanes:
                raise JobFileError(
                    "the lanes must divide the global batch size",
                    expected=f"a divisor of {global_batch_size}",
                    received=f"{lanes} lanes",
                    place=Place(key="data.order.lanes"),
                    remedy=f"try {gcd(lanes, global_batch_size)}",
                )
            return LanesPlan(group_rows, key, global_batch_size=global_batch_size, lanes=lanes, window=order.window)
        case GlobalOrderSpec():
            return GlobalPlan(group_rows, key, global_batch_size=global_batch_size)
        case _:
            assert_never(order)


def default_lanes(global_batch_size: int) -> int:
    """Lanes where the job names none: the greatest common divisor of 32 and the global batch size."""
    return gcd(32, global_batch_size)
