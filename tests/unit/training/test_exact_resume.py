"""Interrupted inside an epoch and resumed in a new process, a run ends in the same bits as one left alone."""

import json
import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from tiny_runs import BATCHES, TRAIN_ROWS, events, job_dict, run_worker, start_worker, write_data, write_run

from mmdist.models import load_artifact
from mmdist.storage import open_store
from mmdist.training.checkpoint import committed_checkpoints, read_checkpoint

STOP_AT = BATCHES + 3
KILL_AT = 2 * BATCHES - 1
TOLERANCE = 1e-4
"""Of weights after 18 steps of AdamW at a learning rate of 0.01, of which 9 were on another number of replicas."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same job left alone, stopped and resumed, killed and resumed, and resumed without its seeds."""
    root = tmp_path_factory.mktemp("runs")
    job = job_dict(
        write_data(root / "data"),
        train__optimizer={"type": "adamw", "learning_rate": 0.01, "schedule": {"type": "cosine", "warmup_epochs": 0.5}},
        train__clip_norm=0.5,
        train__averages={"decay": 0.9},
        model__auxiliary={"per_modality": 0.3, "alignment": {"weight": 0.1}},
        model__modality_dropout={"image": 0.2, "text": 0.2},
    )
    found = {name: write_run(root / name, job) for name in ("alone", "stopped", "killed")}
    assert run_worker(found["alone"], attempt=1)[0] == 0
    code, said = run_worker(found["stopped"], attempt=1, fault=f"stop:{STOP_AT}")
    assert code == 130
    assert "StopRequestedError: stopped as asked, in epoch 2 before batch" in said
    assert run_worker(found["killed"], attempt=1, fault=f"kill:{KILL_AT}")[0] == -signal.SIGKILL
    for name in ("forgetful", "grown", "shrunk"):
        found[name] = root / name
        shutil.copytree(found["stopped"], found[name])
    give_resources(found["shrunk"], {"replicas_per_worker": 1, "cpus_per_worker": 2})
    for name, fault in (("stopped", "none"), ("killed", "none"), ("shrunk", "none"), ("forgetful", "forget-seeds")):
        code, said = run_worker(found[name], attempt=2, fault=fault, report=name == "stopped")
        assert code == 0, said
    return found


def give_resources(run: Path, resources: dict[str, int]) -> None:
    """The one section of a run's job that may change before it goes on."""
    job = yaml.safe_load((run / "job.yaml").read_text())
    job["resources"] = resources
    other = write_run(run.parent / f"{run.name}-job", job)
    for name in ("job.yaml", "job.sha256"):
        shutil.copy(other / name, run / name)


@pytest.fixture(scope="module")
def two_workers(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same job on two workers with one replica each."""
    job = yaml.safe_load((runs["alone"] / "job.yaml").read_text())
    job["resources"] = {"workers": 2, "replicas_per_worker": 1, "cpus_per_worker": 2}
    run = write_run(tmp_path_factory.mktemp("workers") / "two", job)
    work_in_two(run, attempt=1)
    # The job that was stopped on one worker goes on with two: the resources are all that may change.
    for name in ("job.yaml", "job.sha256"):
        shutil.copy(run / name, runs["grown"] / name)
    work_in_two(runs["grown"], attempt=2)
    return run


def work_in_two(run: Path, *, attempt: int) -> None:
    with socket.socket() as one, socket.socket() as two:
        addresses = []
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{probe.getsockname()[1]}")
    workers = [
        start_worker(
            run,
            attempt=attempt,
            rank=rank,
            TEST_WORKERS="2",
            TEST_REPORT="0",
            TF_CONFIG=json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}),
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, said = worker.communicate(timeout=240)
        assert worker.returncode == 0, said


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["from the start", "since it was stopped"])
def test_two_workers_are_bit_identical_to_two_replicas(runs, two_workers, name):
    run = two_workers if name == "from the start" else runs["grown"]
    expected, received = last(runs["alone"]), last(run)
    for one, other in zip(expected.arrays, received.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("cursor", "totals", "ledger", "history"):
        assert expected.state[key] == received.state[key], key
    for epoch in range(3):
        ledgers = [run / "ledger" / f"epoch-{epoch}.json" for run in (runs["alone"], run)]
        assert ledgers[0].read_bytes() == ledgers[1].read_bytes()


def last(run: Path):
    store = open_store(str(run))
    return read_checkpoint(store, committed_checkpoints(store)[-1])


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_weights_slots_seeds_and_history_are_bit_identical(runs, name):
    [resumed] = events(runs[name], "resumed")
    assert resumed["epoch"] == 2, "the interruption was meant to be inside the second epoch"
    assert 0 < resumed["next_batch"] < BATCHES
    expected, received = last(runs["alone"]), last(runs[name])
    assert len(expected.arrays) == len(received.arrays)
    for one, other in zip(expected.arrays, received.arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    for key in ("step", "cursor", "totals", "ledger", "history", "early_stopping", "identity"):
        assert expected.state[key] == received.state[key], key
    assert [len(state.state["history"]) for state in (expected, received)] == [3, 3]
    same = [(run / "model" / "weights.safetensors").read_bytes() for run in (runs["alone"], runs[name])]
    assert same[0] == same[1]


def test_resumed_on_another_number_of_replicas_the_weights_agree(runs):
    """Dropout, mixing and clipping are the same however many replicas share a batch; only sums round otherwise."""
    expected, received = last(runs["alone"]), last(runs["shrunk"])
    assert [event["replicas"] for event in events(runs["shrunk"], "devices")] == [2, 1]
    assert expected.state["ledger"] == received.state["ledger"]
    apart = max(
        float(np.abs(one.astype(np.float64) - other).max())
        for one, other in zip(expected.arrays, received.arrays, strict=True)
    )
    assert 0.0 < apart < TOLERANCE
    forgetful = last(runs["forgetful"]).arrays
    assert any(
        float(np.abs(one.astype(np.float64) - other).max()) > 10 * TOLERANCE
        for one, other in zip(expected.arrays, forgetful, strict=True)
    ), "other dropout masks would not be seen"


@pytest.mark.parametrize("name", ["alone", "stopped"])
def test_the_model_is_made_of_the_averages_of_the_best_checkpoint(runs, name):
    store = open_store(str(runs[name]))
    best = read_checkpoint(store, last(runs[name]).state["best"][0]["folder"]).arrays
    weights = load_artifact(store, "model").weights
    for weight, average in zip(weights, best[-len(weights) :], strict=True):
        np.testing.assert_array_equal(weight, average)
    largest = max(weights, key=lambda weight: weight.nbytes)
    assert not any(np.array_equal(largest, other) for other in best[: -len(weights)])


@pytest.mark.parametrize("name", ["alone", "stopped", "killed"])
def test_every_row_of_every_epoch_is_in_the_ledger_once(runs, name):
    for epoch in range(3):
        ledger = json.loads((runs[name] / "ledger" / f"epoch-{epoch}.json").read_text())
        assert ledger["fed_rows"] + ledger["quarantined_rows"] == ledger["expected_rows"] == TRAIN_ROWS
        assert ledger["quarantined_rows"] == 1
        assert ledger == json.loads((runs["alone"] / "ledger" / f"epoch-{epoch}.json").read_text())


def test_without_the_seed_generators_the_end_is_another(runs):
    expected, received = last(runs["alone"]), last(runs["forgetful"])
    assert expected.state["ledger"] == received.state["ledger"]
    assert not all(np.array_equal(*pair) for pair in zip(expected.arrays, received.arrays, strict=True))


def test_the_best_checkpoint_becomes_the_model(runs):
    run = runs["alone"]
    history = last(run).state["history"]
    best = max(history, key=lambda epoch: (epoch["val/accuracy"], -epoch["epoch"]))
    model = json.loads((run / "model" / "model.json").read_text())
    assert (model["step"], model["epoch"]) == (best["step"], best["epoch"] + 1)
    assert model["run_id"] == "alone"
    checkpoint = read_checkpoint(open_store(str(run)), last(run).state["best"][0]["folder"])
    from mmdist.models import load_artifact

    weights = load_artifact(open_store(str(run)), "model").weights
    kept = [array.tobytes() for array in checkpoint.arrays]
    assert all(weight.tobytes() in kept for weight in weights)


def test_the_last_two_and_the_best_checkpoint_are_kept(runs):
    state = last(runs["alone"])
    folders = committed_checkpoints(open_store(str(runs["alone"])))
    assert folders[-1] == state.folder
    assert set(folders) == {*folders[-2:], state.state["best"][0]["folder"]}


def test_the_bad_row_is_set_aside_with_its_reason(runs):
    [path] = (runs["alone"] / "quarantine").glob("*train*.parquet")
    [row] = pq.read_table(path).to_pylist()
    assert row["id"] == "train-40"
    assert row["column"] == "image"


def test_curves_report_and_devices_are_recorded(runs):
    run = runs["stopped"]
    tables = [pq.read_table(path) for path in sorted((run / "metrics").glob("*.parquet"))]
    values = {(row["name"], row["epoch"]): row["value"] for table in tables for row in table.to_pylist()}
    for entry in last(run).state["history"]:
        for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
            assert values[name, entry["epoch"]] == entry[name]
    assert (run / "report" / "report.html").stat().st_size > 1000
    assert list((run / "tensorboard").rglob("events.out*"))
    devices = events(run, "devices")[-1]
    assert (devices["kind"], devices["replicas"], devices["deterministic"]) == ("cpu", 2, True)
