"""A batch that is no number: skip and rollback leave it out, with the same bits in the end (test_worker has stop)."""

import numpy as np
import pytest
from tiny_runs import BATCHES, events, job_dict, run_worker, write_data, write_run

from mmdist.storage import open_store
from mmdist.training.checkpoint import committed_checkpoints, read_checkpoint

POISONED = BATCHES + 2
"""The third batch of the second epoch."""
FAULT = f"poison:{POISONED}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def job(data, how, **changes):
    return job_dict(data, train__epochs=2, train__on_divergence=how, **changes)


def last(run):
    store = open_store(str(run))
    return read_checkpoint(store, committed_checkpoints(store)[-1])


@pytest.fixture(scope="module")
def skipped(data, tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("skip") / "run", job(data, "skip"))
    code, said = run_worker(run, attempt=1, fault=FAULT)
    assert code == 0, said
    return run


def test_skip_goes_on_with_finite_weights_and_tells_of_the_rows(skipped):
    [told] = events(skipped, "diverged")
    assert (told["step"], told["epoch"], told["batch"], told["then"]) == (9, 2, 3, "skip")
    assert len(told["rows"]) > 10
    assert all(np.isfinite(array).all() for array in last(skipped).arrays)
    assert last(skipped).state["step"] == 2 * BATCHES
    assert np.isfinite(last(skipped).state["history"][1]["train/loss"])


def test_rollback_ends_in_the_bits_of_skip(data, skipped, tmp_path):
    run = write_run(tmp_path / "run", job(data, "rollback"))
    code, said = run_worker(run, attempt=1, fault=FAULT)
    assert code == 0, said
    assert "back to the newest checkpoint: step 9, epoch 2, batch 3" in said
    assert last(run).state["step"] == 8, "it went back to the checkpoint before"
    # The poison is still there: the batch is left out.
    code, said = run_worker(run, attempt=2, fault=FAULT)
    assert code == 0, said
    for one, other in zip(last(skipped).arrays, last(run).arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("step", "cursor", "totals", "ledger"):
        assert last(skipped).state[key] == last(run).state[key], key


def test_the_control_without_undoing_loses_the_weights(data, tmp_path):
    run = write_run(tmp_path / "run", job(data, "skip"))
    code, said = run_worker(run, attempt=1, fault=f"{FAULT}:keep")
    assert code == 5, "what follows is no number either, until the job bears no more"
    assert "; 5 batches before" in said or "validation" in said
