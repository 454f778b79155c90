"""However replicas are arranged in workers, a step updates alike: two workers bit for bit like two replicas of one.

The model has batch normalization over all replicas, L1 and L2; the batches are masked and short, and in one of them
the second worker has no row that counts. `held` clips the gradients of all replicas together and averages the weights.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOLERANCE = {"sgd": 5e-7, "held": 5e-7, "adam": 1e-5}
"""Of weights after 4 steps at learning rates of 0.05 and 0.01. Adam divides by small numbers at its first steps."""
PROGRAM = Path(__file__).with_name("arranged_steps.py")
ROOT = Path(__file__).resolve().parents[3]


def free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
    return addresses


def trained(folder, workers, replicas, kind):
    """Sums of every step and the weights at the end, of each worker."""
    addresses = free_addresses(workers)
    running = []
    for rank in range(workers):
        path = folder / f"{kind}-{workers}x{replicas}-{rank}.npz"
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env.pop("TF_CONFIG", None)
        if workers > 1:
            env["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})
        words = [sys.executable, str(PROGRAM), str(path), str(rank), str(workers), str(replicas), kind]
        running.append((path, subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True)))
    found = []
    for path, process in running:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said[-3000:]
        with np.load(path) as arrays:
            found.append(dict(arrays))
    for other in found[1:]:
        assert_same(found[0], other)
    return found[0]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def furthest(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one if name != "sums")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arranged")


@pytest.fixture(scope="module")
def alone(folder):
    return trained(folder, 1, 1, "adam")


@pytest.fixture(scope="module")
def two_replicas(folder):
    return trained(folder, 1, 2, "adam")


def test_two_workers_are_bit_identical_to_two_replicas(folder, two_replicas):
    assert_same(two_replicas, trained(folder, 2, 1, "adam"))


def test_four_replicas_in_two_workers_agree_with_one_device(folder, alone):
    received = trained(folder, 2, 2, "adam")
    assert furthest(alone, received) < TOLERANCE["adam"]
    loss, correct, rows, stop = received["sums"].T[:4]
    np.testing.assert_allclose(loss, alone["sums"][:, 0], rtol=1e-5)
    np.testing.assert_array_equal(correct, alone["sums"][:, 1])
    assert rows.tolist() == [32, 20, 9, 32] * 2, "no row is counted twice, in validation neither"
    assert stop.tolist() == [0, 1, 0, 0] + [0] * 4, "all learn what one worker was asked"


def test_two_replicas_agree_with_one_device(alone, two_replicas):
    assert 0 < furthest(alone, two_replicas) < TOLERANCE["adam"]


def test_the_tolerance_sees_batch_normalization_that_is_not_synchronized(folder, alone):
    assert furthest(alone, trained(folder, 1, 2, "unsynchronized")) > 100 * TOLERANCE["adam"]


def test_clipping_and_averages_are_the_same_in_two_workers_two_replicas_and_one_device(folder):
    alone, two_replicas = (trained(folder, 1, replicas, "held") for replicas in (1, 2))
    assert 0 < furthest(alone, two_replicas) < TOLERANCE["held"]
    assert_same(two_replicas, trained(folder, 2, 1, "held"))


def test_the_tolerance_sees_gradients_that_each_replica_clips_for_itself(folder):
    alone, two_replicas = (trained(folder, 1, replicas, "held apart") for replicas in (1, 2))
    assert furthest(alone, two_replicas) > 100 * TOLERANCE["held"]


def test_a_step_that_diverges_in_one_worker_leaves_no_trace_in_any(folder):
    assert_same(trained(folder, 2, 1, "adam"), trained(folder, 2, 1, "undone"))


def test_the_control_without_undoing_loses_the_weights_of_all(folder):
    assert not np.isfinite(trained(folder, 2, 1, "not undone")["v00"]).any()


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["sgd", "held", "adam"])
@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (1, 4), (2, 1), (2, 2), (4, 1)])
def test_any_arrangement_agrees_with_one_device(folder, kind, workers, replicas):
    distance = furthest(trained(folder, 1, 1, kind), trained(folder, workers, replicas, kind))
    assert distance < TOLERANCE[kind], f"{kind}, {workers} workers x {replicas} replicas"
