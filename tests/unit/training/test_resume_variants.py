"""Stopped inside an epoch and resumed, further ways to train end in the bits of a run that was left alone."""

import numpy as np
import pytest
from tiny_runs import BATCHES, events, job_dict, run_worker, write_data, write_run

from mmdist.storage import open_store
from mmdist.training.checkpoint import committed_checkpoints, read_checkpoint

PLATEAU = {"type": "plateau", "metric": "train/accuracy", "patience": 0, "min_delta": 1.0, "factor": 0.5}
"""Nothing improves by so much: the rate is halved after the second epoch, in which the run is stopped."""
VARIANTS = {
    "float16 and a plateau": {
        "train__precision": "float16",
        "train__optimizer": {"type": "adam", "learning_rate": 0.01, "schedule": PLATEAU},
    },
    "bfloat16, accumulated": {"train__precision": "bfloat16", "train__accumulate": 2},
    "XLA": {"train__xla": True, "resources": {"replicas_per_worker": 1, "cpus_per_worker": 2}},
}


@pytest.mark.campaign
@pytest.mark.parametrize("name", VARIANTS)
def test_a_resume_is_exact(tmp_path, name):
    job = job_dict(write_data(tmp_path / "data"), **VARIANTS[name])
    alone, stopped = (write_run(tmp_path / which, job) for which in ("alone", "stopped"))
    code, said = run_worker(alone, attempt=1, report=True)
    assert code == 0, said
    assert run_worker(stopped, attempt=1, fault=f"stop:{BATCHES + 3}")[0] == 130
    assert run_worker(stopped, attempt=2)[0] == 0
    [resumed] = events(stopped, "resumed")
    assert 0 < resumed["next_batch"] < BATCHES
    expected, received = last(alone), last(stopped)
    for one, other in zip(expected.arrays, received.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("step", "totals", "history", "plateau"):
        assert expected.state[key] == received.state[key], key
    if "plateau" in name:
        rates = [event["learning_rate"] for event in events(alone, "rate-lowered")]
        assert rates == pytest.approx([0.005, 0.0025])


def last(run):
    store = open_store(str(run))
    return read_checkpoint(store, committed_checkpoints(store)[-1])
