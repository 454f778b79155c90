"""Ctrl-C in the middle of an epoch, SIGKILL in the middle of another, and a run that is whole in the end."""

import json
from pathlib import Path

import psutil
import pytest
from commands import JOBS, SHRUNK, Demo, Terminal, check_ledger, events, mmdist, note, wait_until

ROWS = 1154
EPOCHS = 3
CHANGES = (
    *SHRUNK,
    *("--set", "name=cut"),
    *("--set", f"train.epochs={EPOCHS}"),
    *("--set", "train.global_batch_size=16"),
    *("--set", "train.checkpoint.every=5"),
)


def in_the_middle(run: Path, attempt: int, after_epoch: int) -> bool:
    now = note(run)
    if now.get("phase") != "train" or now.get("epoch", 0) <= after_epoch or len(events(run, "devices")) < attempt:
        return False
    return 5 < now.get("batch", 0) < now.get("batches", 0) - 5


@pytest.mark.timeout(600)
def test_a_run_that_was_stopped_and_killed_feeds_every_row_of_every_epoch_once(demo: Demo) -> None:
    run = demo.folder / "runs" / "cut"
    first = Terminal(["submit", JOBS / "train.yaml", *CHANGES, "--run-id", "cut"], demo.folder)
    wait_until(lambda: in_the_middle(run, 1, 0), "a step of the first epoch")
    first.interrupt()
    exit_code, text = first.wait()
    assert exit_code == 130, text
    assert f"resume with: mmdist submit --resume {run}" in text
    assert "Traceback" not in text
    status = json.loads(mmdist("status", "cut", "--json", cwd=demo.folder).stdout)
    assert (status["state"], status["exit_code"]) == ("stopped", 130)
    epochs_done = len(events(run, "epoch-finished"))

    second = Terminal(["submit", "--resume", "cut"], demo.folder)
    wait_until(lambda: in_the_middle(run, 2, epochs_done), "a step of the resumed epoch")
    below = second.descendants()
    assert len(below) > 3
    second.kill()
    assert second.wait()[0] == -9
    # Ray's agents notice within seconds, and then may wait a minute for a head that is gone too.
    gone, alive = psutil.wait_procs(below, timeout=90)
    assert not alive, f"Ray outlived its driver: {alive}"
    assert len(gone) == len(below)
    told = mmdist("status", "cut", cwd=demo.folder).stdout
    assert "interrupted" in told
    assert f"mmdist submit --resume {run}" in told

    refused = mmdist("submit", "--resume", "cut", "--set", "train.epochs=9", cwd=demo.folder)
    assert refused.returncode == 2
    assert "only `resources` may change" in refused.stderr

    third = mmdist("submit", JOBS / "train.yaml", *CHANGES, "--resume", "cut", cwd=demo.folder)
    assert third.returncode == 0, third.stderr
    assert [resumed["attempt"] for resumed in events(run, "resumed")] == [2, 3]
    for epoch in range(EPOCHS):
        check_ledger(run, epoch, ROWS)
    steps = {facts["epoch"]: facts["step"] for facts in events(run, "epoch-finished")}
    assert [steps[epoch] for epoch in sorted(steps)] == [steps[1] * epoch for epoch in range(1, EPOCHS + 1)]
