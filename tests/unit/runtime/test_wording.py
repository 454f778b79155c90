import pytest

from mmdist.runtime.wording import duration, epoch_line, event_line, live_line
from mmdist.storage import Event


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05"), (None, "-"), (float("inf"), "-")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_live_line_tells_place_pace_and_time_to_go():
    note = {
        "phase": "train", "epoch": 3, "epochs": 15, "batch": 7, "batches": 19, "rows_per_s": 1234.4, "step_s": 0.0519,
        "input_wait_share": 0.031, "read_wait_share": 0.011, "prepare_wait_share": 0.001, "decode_wait_share": 0.019,
        "handover_share": 0.02, "step_share": 0.949, "loss": 1.23456, "eta_s": 92,
    }  # fmt: skip
    assert live_line(note) == (
        "training  epoch 3/15  batch 7/19  1,234 rows/s  step 0.052 s  wait 3% (read 1, decode 2)  hand-over 2%  "
        "loss 1.2346  ETA 1:32"
    )


def test_the_live_line_leaves_out_what_it_does_not_know():
    assert live_line({"phase": "train", "loss": float("nan"), "rows": 10}) == "training  rows 10"


def test_an_epochs_line():
    metrics = {"train/loss": 1.5, "val/accuracy": 0.25}
    assert (
        epoch_line({"epoch": 1, "epochs": 2, "metrics": metrics}) == "epoch 1/2  train/loss 1.5000  val/accuracy 0.2500"
    )


def test_an_epochs_line_tells_waiting_and_retries():
    metrics = {"rows_per_s": 1000.0, "input_wait_share": 0.2, "decode_wait_share": 0.2, "handover_share": 0.004}
    facts = {"epoch": 1, "metrics": metrics, "storage_retries": {"read": 2, "write": 1}}
    assert epoch_line(facts) == "epoch 1  1,000 rows/s  wait 20% (decode 20)  storage retries 3"


def line(kind, **facts):
    return event_line(Event(1, "driver", 0, 0.0, kind, facts))


def test_events_in_words():
    assert line("phase", name="import") == "importing the dataset"
    assert (
        line("imported", output="D", skipped=True, rows={"train": 1000}) == "dataset was there already: D (train 1,000)"
    )
    imported = line("imported", output="D", skipped=False, rows={"train": 1}, quarantined=2)
    assert imported == "dataset imported: D (train 1); 2 bad rows set aside in D/quarantine"
    assert line("worker-started", rank=1, restart=2) == "worker 1 started again (restart 2)"
    assert line("failed", error="DataRefusedError", message="bad", exit_code=3) == "worker failed: bad"
    assert line("resumed", checkpoint="C", epoch=2, next_batch=5) == "resumed from C, epoch 2, batch 5"
    assert line("worker-started", rank=0, restart=0) is None
    assert line("input-bound", epoch=1, advice="input is the bottleneck: buy") == "input is the bottleneck: buy"
    assert line("devices") is None
