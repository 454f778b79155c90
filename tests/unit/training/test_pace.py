import time

import numpy as np
import pytest
from tiny_runs import SIDE, TRAIN_ROWS, write_split

from mmdist.data import collate
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.order import plan_epoch
from mmdist.data.stream import BatchStream
from mmdist.spec.data import ColumnsSpec, LanesOrderSpec
from mmdist.training.pace import InputTime, Pace, split_wait, timed

IDLE = {"read_s": 0.0, "prepare_s": 0.0, "decode_s": 0.0, "read_wait_s": 0.0}


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        ({"decode_s": 8.0}, (0.0, 0.0, 2.0)),
        ({"read_wait_s": 4.0, "read_s": 6.0, "prepare_s": 2.0}, (1.5, 0.5, 0.0)),
        ({"read_wait_s": 1.0, "read_s": 1.0}, (0.5, 0.0, 1.5)),
        ({"read_wait_s": 1.0, "prepare_s": 1.0}, (0.0, 0.5, 1.5)),
        # A wait that began before the last batch is booked when it ends.
        ({"read_wait_s": 9.0, "read_s": 1.0}, (2.0, 0.0, 0.0)),
    ],
)
def test_a_wait_is_for_what_the_stream_did_meanwhile(spent, expected):
    found = split_wait(2.0, since_last_s=4.0, spent={**IDLE, **spent})
    assert found == pytest.approx((*expected, 0.0))
    assert found.wait_s == pytest.approx(2.0)


def test_no_wait_is_for_nothing():
    assert split_wait(0.0, since_last_s=0.0, spent=IDLE) == (0.0, 0.0, 0.0, 0.0)


def test_phases_add_up_to_the_time_until_the_end():
    pace = Pace()
    assert pace.values() == {}
    pace.add(rows=30, spent=InputTime(0.001, 0.002, 0.003, 0.004))
    pace.add(rows=34, spent=InputTime(0.001, 0.0, 0.0, 0.001))
    time.sleep(0.05)
    pace.end()
    values, phases = pace.values(), pace.phases_s()
    time.sleep(0.02)
    assert (values, phases) == (pace.values(), pace.phases_s()), "nothing counts after the end"
    assert sum(phases.values()) == pytest.approx(pace.seconds)
    assert phases["handover"] == pytest.approx(0.005)
    assert values["input_wait_share"] == pytest.approx(0.007 / pace.seconds)
    assert sum(values[f"{name}_wait_share"] for name in ("read", "prepare", "decode")) == pytest.approx(
        values["input_wait_share"]
    )
    assert sum(value for name, value in values.items() if name.endswith("_share")) == pytest.approx(
        1.0 + values["input_wait_share"]
    )
    assert values["rows_per_s"] == pytest.approx(64 / pace.seconds)
    assert values["step_s"] == pytest.approx(pace.seconds / 2)


class SlowStream:
    """Three batches, each read for so long and then decoded for so long."""

    def __init__(self, read_s, decode_s):
        self.read_s, self.decode_s = read_s, decode_s
        self.spent = dict(IDLE)

    def __iter__(self):
        for number in range(3):
            time.sleep(self.read_s)
            time.sleep(self.decode_s)
            for name, value in (("read_s", self.read_s), ("read_wait_s", self.read_s), ("decode_s", self.decode_s)):
                self.spent[name] += value
            yield number

    def timings(self):
        return dict(self.spent)


def test_batches_come_with_what_they_were_waited_for():
    found = list(timed(SlowStream(0.02, 0.06)))
    assert [batch for batch, _ in found] == [0, 1, 2]
    waits = np.array([waited for _, waited in found])
    assert np.all(waits[:, 0] > 0.01)
    assert np.all(waits[:, 2] > 2 * waits[:, 0])
    assert np.all(waits[:, (1, 3)] == 0)


def delayed(function, seconds):
    def slow(*args, **options):
        time.sleep(seconds)
        return function(*args, **options)

    return slow


@pytest.mark.parametrize(
    ("owner", "name", "phase"),
    [(Dataset, "read_row_group", "read_s"), (Collator, "prepare", "prepare_s"), (collate, "decode_images", "decode_s")],
)
def test_the_phase_of_a_stream_that_is_slow_takes_the_blame(tmp_path, monkeypatch, owner, name, phase):
    dataset = open_dataset(write_split(tmp_path / "train", TRAIN_ROWS, seed=1))
    collator = Collator(ColumnsSpec(id="id", image="image"), image_size=(SIDE, SIDE), threads=2)
    order = LanesOrderSpec(lanes=4)
    plan = plan_epoch(dataset.index.rows, fingerprint="f", seed=0, epoch=0, global_batch_size=8, order=order)
    monkeypatch.setattr(owner, name, delayed(getattr(owner, name), 0.05))
    waits = dict.fromkeys(InputTime._fields, 0.0)
    with BatchStream(dataset, plan, collator) as stream:
        for _, waited in timed(stream):
            waits = {field: total + getattr(waited, field) for field, total in waits.items()}
            time.sleep(0.01)
    assert sum(waits.values()) > 0.1
    assert waits[phase] > 0.7 * sum(waits.values()), waits
