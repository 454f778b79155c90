"""Pins the order of samples: a run resumed under a later version must go on where it stopped.

Rewritten with `python tests/golden/test_order_golden.py`, and only together with a new version of the order.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdist.data.order import plan_epoch
from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec, OrderSpec

GOLDEN = Path(__file__).with_name("order.json")

CASES: dict[str, tuple[list[int], int, OrderSpec]] = {
    "lanes, uneven row groups": ([7, 1, 12, 5, 0, 9], 8, LanesOrderSpec(lanes=4)),
    "lanes, window of 3": ([6] * 9, 6, LanesOrderSpec(lanes=2, window=3)),
    "lanes by default, more lanes than rows": ([3, 2], 32, LanesOrderSpec()),
    "lanes, 25,000 rows": ([250] * 100, 256, LanesOrderSpec()),
    "global, few rows": ([7, 1, 12, 5, 0, 9], 8, GlobalOrderSpec()),
    "global, 100,000 rows": ([1000] * 100, 256, GlobalOrderSpec()),
}


def facts_of(name: str) -> dict[str, Any]:
    rows, batch_size, order = CASES[name]
    digest = hashlib.sha256()
    first: list[list[int]] = []
    for epoch in range(2):
        plan = plan_epoch(
            np.array(rows), fingerprint="5eed", seed=7, epoch=epoch, global_batch_size=batch_size, order=order
        )
        for batch in range(plan.batches):
            places = plan.batch_places(batch, range(plan.lanes))
            digest.update(places.group.astype("<i8").tobytes() + places.row.astype("<i8").tobytes())
            if batch == 0 and epoch == 0:
                first = np.stack([places.group, places.row], axis=1)[:8].tolist()
    return {"first_places": first, "sha256_of_two_epochs": digest.hexdigest()}


@pytest.mark.parametrize("name", CASES)
def test_order_is_the_pinned_one(name: str) -> None:
    assert facts_of(name) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    pinned = (f'  "{name}": {json.dumps(facts_of(name))}' for name in CASES)
    GOLDEN.write_text("{\n" + ",\n".join(pinned) + "\n}\n")
