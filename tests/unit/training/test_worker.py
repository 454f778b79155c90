"""How a training ends when it must: the error, its exit code, and what stays usable."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import BATCHES, TRAIN_ROWS, events, job_dict, run_worker, write_data, write_run, write_split

from mmdist.storage import open_store
from mmdist.training.checkpoint import committed_checkpoints


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), index=False)


def test_a_loss_that_is_no_number_names_step_epoch_batch_and_rows(data, tmp_path):
    run = write_run(tmp_path / "run", job_dict(data))
    code, said = run_worker(run, attempt=1, fault=f"nan:{BATCHES + 1}")
    assert code == 5
    assert "TrainingFailedError: the loss or its gradient is not a number (step 8, epoch 2, batch 2)" in said
    assert "over the rows train-" in said
    assert "and 6 more; not finite: the output of image_tower" in said
    assert committed_checkpoints(open_store(str(run)))[-1].endswith("/00000006-0001.0")
    assert not (run / "model").exists()
    # The folder was not imported: the first epoch has recorded what the rows are, and a checkpoint keeps it.
    ledger = json.loads((run / "ledger" / "epoch-0.json").read_text())
    assert ledger["expected_rows"] == TRAIN_ROWS
    assert ledger["expected_sums"] is None


def test_a_finished_run_is_not_trained_again_and_one_modality_is_enough(data, tmp_path):
    job = job_dict(
        data, data__columns={"id": "id", "text": "text", "label": "label"}, data__max_bad_rows=30, train__epochs=2
    )
    job["train"]["early_stopping"] = {"metric": "val/loss", "mode": "max", "patience": 0}
    run = write_run(tmp_path / "run", job)
    code, said = run_worker(run, attempt=1)
    assert code == 0, said
    first = (run / "model" / "manifest.json").read_bytes()
    assert "image" not in (run / "model" / "model.json").read_text().split('"weights"')[1]
    assert not (run / "report").exists()
    code, said = run_worker(run, attempt=2, report=True)
    assert code == 0, said
    assert (run / "model" / "manifest.json").read_bytes() == first
    assert (run / "report" / "report.html").exists()
    assert len(events(run, "epoch-finished")) == len({event["epoch"] for event in events(run, "epoch-finished")})


def test_more_bad_rows_than_the_job_bears_end_it_with_the_place_to_look_at(data, tmp_path):
    run = write_run(tmp_path / "run", job_dict(data, data__on_bad_row="fail"))
    code, said = run_worker(run, attempt=1)
    assert code == 3
    assert "BadRowsError: a row cannot be used, and on_bad_row is `fail`" in said
    assert f"look at {run}/quarantine/0001-worker-0.0-train-0000.parquet" in said


def test_other_data_under_the_same_run_is_refused(tmp_path):
    data = write_data(tmp_path / "data")
    run = write_run(tmp_path / "run", job_dict(data))
    assert run_worker(run, attempt=1, fault="stop:2")[0] == 130
    shutil.rmtree(data["train"])
    write_split(Path(data["train"]), TRAIN_ROWS, seed=99)
    code, said = run_worker(run, attempt=2)
    assert code == 3
    assert "the dataset is not the one that this run began with" in said


def test_a_training_that_waits_for_decoding_says_so_and_what_to_change(data, tmp_path):
    run = write_run(tmp_path / "run", job_dict(data, train__epochs=3))
    code, said = run_worker(run, attempt=1, fault="slow-decode")
    assert code == 0, said
    epochs = events(run, "epoch-finished")
    for facts in epochs:
        metrics, seconds = facts["metrics"], facts["seconds_by_phase"]
        assert set(seconds) == {"read_wait", "prepare_wait", "decode_wait", "handover", "step"}
        assert seconds["handover"] > 0
        assert metrics["input_wait_share"] == pytest.approx(
            sum(metrics[f"{phase}_wait_share"] for phase in ("read", "prepare", "decode"))
        )
    assert epochs[2]["metrics"]["decode_wait_share"] > 0.3
    assert "decoding pictures" in epochs[2]["input_advice"]
    assert "resources.cpus_per_worker" in epochs[2]["input_advice"]
    [told] = events(run, "input-bound")
    assert told["advice"].startswith("input is the bottleneck")
    assert told["advice"] in said, "the log has it too"
    assert [facts.get("storage_retries") for facts in epochs] == [{"read": 1}, None, None]
