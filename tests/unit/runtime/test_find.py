import time

import pytest

from mmdist.errors import UsageError
from mmdist.runtime.find import find_model, find_run, list_runs
from mmdist.runtime.rundir import run_id_of
from mmdist.storage import EventWriter, claim_attempt, commit_folder, open_store


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run_id, name, state in (
        ("demo-1-aaaa", "demo", "succeeded"),
        ("demo-2-bbbb", "demo", "failed"),
        ("other-3-cccc", "other", "succeeded"),
    ):
        run = open_store("runs").child(run_id)
        run.write_bytes("job.sha256", b"x")
        EventWriter(run, 0, "submit").write("submitted", kind="train", name=name)
        claim_attempt(run, {}).write("finished", state=state, exit_code=0)
        if state == "succeeded":
            commit_folder(run, "model", {"model.json": b"{}"})
        time.sleep(0.002)
    (tmp_path / "runs" / "no-run").mkdir()
    return "runs"


def test_runs_are_listed_oldest_first_and_other_folders_left_out(storage):
    assert [run_id_of(run) for run in list_runs(storage)] == ["demo-1-aaaa", "demo-2-bbbb", "other-3-cccc"]
    assert list_runs("nowhere") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo-1-aaaa", "demo-1-aaaa"),
        ("demo-2", "demo-2-bbbb"),
        ("latest", "other-3-cccc"),
        ("demo@latest", "demo-2-bbbb"),
        ("runs/demo-1-aaaa", "demo-1-aaaa"),
    ],
)
def test_a_run_is_found_by(storage, name, expected):
    assert run_id_of(find_run(name, storage)) == expected


def test_a_prefix_of_several_runs_names_them(storage):
    with pytest.raises(UsageError, match="2 runs begin with demo") as caught:
        find_run("demo", storage)
    assert "demo-1-aaaa, demo-2-bbbb" in caught.value.remedy


def test_a_run_that_is_not_there_names_those_that_are(storage):
    with pytest.raises(UsageError, match="there is no run nothing in runs") as caught:
        find_run("nothing", storage)
    assert "other-3-cccc" in caught.value.remedy


def test_a_folder_that_is_no_run_is_refused(storage):
    with pytest.raises(UsageError, match="there is no run directory there"):
        find_run("runs/no-run", storage)


def test_the_latest_model_is_of_the_newest_run_that_finished(storage):
    assert run_id_of(find_model("demo@latest", storage)) == "demo-1-aaaa"


def test_a_model_of_an_unfinished_run_is_refused(storage):
    with pytest.raises(UsageError, match="demo-2-bbbb has no finished model") as caught:
        find_model("demo-2-bbbb", storage)
    assert caught.value.received == "a run that is failed"


def test_a_job_without_a_finished_run_is_refused(storage):
    with pytest.raises(UsageError, match="no finished train run of the job absent"):
        find_model("absent@latest", storage)
