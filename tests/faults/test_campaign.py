"""A sample of the campaign of kills; all of it by `-m campaign`. And what it must find out, it finds out."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import campaign
import pytest
from campaign_child import EVALUATE, PRUNE, RESTORE, STEP, Aim
from campaign_compare import differences, lost_checkpoints, rows_missed_or_repeated, unkept_checkpoint
from campaign_job import EPOCHS, ROWS, Shot, write_job

from mmdist.storage import EventWriter, open_store

KILLS = 4
AFTER_A_SAVE = Shot(Aim(PRUNE, 1, "before"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict, campaign.Alone]]:
    """The job, and its run that nobody kills."""
    folder = tmp_path_factory.mktemp("alone")
    job = write_job(folder / "data")
    yield job, campaign.Campaign(folder, job, 0, campaign.Tally(0), None).leave_alone(warm=False)
    shutil.rmtree(folder)


def killed(alone, folder: Path, kills: int, *, control: str | None = None) -> campaign.Tally:
    job, expected = alone
    tally = campaign.Tally(kills)
    campaign.Campaign(folder, job, 1, tally, control).work(expected)
    return tally


def test_killed_anywhere_and_resumed_a_run_ends_in_the_same_bits(alone, tmp_path, capsys):
    tally = killed(alone, tmp_path, KILLS)
    assert tally.faults == []
    assert tally.is_clean
    assert sum(tally.landed.values()) == KILLS
    said = tally.summary().splitlines()[-1]
    assert said == f"{KILLS}/{KILLS} kills survived: {tally.runs} runs bit-identical, 0 rows missed or repeated"
    assert "bit-identical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("control", "differs"),
    [
        ("seeds", "weights, optimizer slots and random state: "),
        ("cursor", r"exited with 1: .*epoch \d did not feed every row once"),
    ],
)
def test_what_resuming_forgets_is_found_out(alone, tmp_path, monkeypatch, control, differs):
    monkeypatch.setattr(campaign, "draw_shot", lambda *_: AFTER_A_SAVE)
    tally = killed(alone, tmp_path, 1, control=control)
    assert not tally.is_clean
    assert tally.identical == 0
    assert any(re.search(differs, fault) for fault in tally.faults), tally.faults


def test_what_differs_is_named(alone, tmp_path):
    _, expected = alone
    run = tmp_path / "run"
    shutil.copytree(expected.run, run)
    assert differences(expected.run, run) == []
    assert rows_missed_or_repeated(run, EPOCHS, expected.fed, expected.fed) == 0
    path = run / "ledger" / "epoch-1.json"
    ledger = json.loads(path.read_text())
    path.write_text(json.dumps({**ledger, "fed_rows": ledger["fed_rows"] - 2}))
    next((run / "events").glob("*000003.json")).unlink()
    shutil.rmtree(run / "model")
    named = [difference.partition(":")[0] for difference in differences(expected.run, run)]
    assert "the ledgers" in named
    assert "the model cannot be read" in named
    assert rows_missed_or_repeated(run, EPOCHS, expected.fed, expected.fed) == 2
    repeated = [*expected.fed[:-1], expected.fed[-2]]
    assert rows_missed_or_repeated(expected.run, EPOCHS, expected.fed, repeated) > 0


def test_a_checkpoint_that_was_told_and_is_gone_is_missed(alone, tmp_path):
    _, expected = alone
    assert (unkept_checkpoint(expected.run), lost_checkpoints(expected.run)) == (None, [])
    run = tmp_path / "run"
    shutil.copytree(expected.run, run)
    store = open_store(str(run))
    EventWriter(store, 2, "worker-0.0").write("checkpoint-saved", path="checkpoints/00000999-0002.0", step=999)
    assert "step 999 was saved, the newest that verifies is of step" in (unkept_checkpoint(run) or "")
    EventWriter(store, 3, "worker-0.0").write("resumed", step=60)
    assert lost_checkpoints(run) == [
        "attempt 2, worker-0.0, began at step 0, and step 60 was saved",
        "attempt 3, worker-0.0, began at step 60, and step 999 was saved",
    ]


def test_each_step_and_its_rows_are_noted(alone):
    _, expected = alone
    assert len(expected.fed) == 60
    assert sum(len(rows) for epoch, _, rows in expected.fed if epoch == 0) == ROWS - 1
    assert {STEP, RESTORE, EVALUATE, PRUNE} <= expected.counts.keys()


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_two_hundred_kills():
    assert campaign.campaign(200, 0, ray=6, jobs=2).is_clean
