"""The parts of `mmdist verify` that need no TensorFlow: the sample, the judges, and what they must not let pass."""

import json
import signal
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tiny_runs import job_dict, write_data, write_split

from mmdist.cli.main import run
from mmdist.data.dataset import open_dataset
from mmdist.errors import DataRefusedError, ResourceError, WorkerLostError
from mmdist.runtime.verifying import importing, processes
from mmdist.runtime.verifying.bits import digest, flip_bit
from mmdist.runtime.verifying.processes import Processes
from mmdist.runtime.verifying.proof import Check, Proof
from mmdist.runtime.verifying.records import Opening, Recording, StepRecord, append_line, read_recording
from mmdist.runtime.verifying.recount import Recount, judge_ledger
from mmdist.runtime.verifying.replicas import causes_of, judge_replicas
from mmdist.runtime.verifying.resume import Trial, judge_resume, state_causes
from mmdist.runtime.verifying.sample import CHECKPOINT_EVERY, EPOCHS, shrink
from mmdist.runtime.verifying.verify import import_first, kill_steps, replicas_of
from mmdist.spec.dump import dump_job
from mmdist.spec.importing import ImportSpec
from mmdist.spec.job import TrainJob
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, commit_folder, open_store
from mmdist.training.checkpoint import checkpoint_name

GOOD: dict[str, Any] = {
    "rows": 16, "usable": 16, "counted": [16, 16], "loss": 1e-7, "gradients": {"w": 1e-6}, "gradient_norm": 1.0,
    "ratio": 1.0, "update": 1e-5, "unlike": [], "shaken": 1e-7,
}  # fmt: skip
OPENING = Opening(
    names=("dense/kernel", "adam/m", "dropout/seed_generator_state"),
    groups=("weight", "slot", "seed"),
    state=("a", "b", "c"),
    step=3,
    device_kind="cpu",
    replicas=2,
    threads=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def recount(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Recount:
    return Recount(shrink(job(data), tmp_path_factory.mktemp("sample"), replicas=2).job)


def job(data: dict[str, str], **changes: Any) -> TrainJob:
    return TrainJob.model_validate(job_dict(data, **changes))


def fed(recount: Recount) -> list[StepRecord]:
    """What a run that does everything right writes down."""
    steps = []
    for number in range(EPOCHS * recount.batches):
        epoch, batch = recount.place_of(number)
        rows = tuple(recount.rows_of(epoch, batch))
        steps.append(StepRecord(epoch, batch, rows, rows, ("a",), 1.0, len(rows), ()))
    return steps


def test_the_sample_is_of_the_jobs_own_rows_and_settings(data: dict[str, str], tmp_path: Path) -> None:
    sample = shrink(job(data), tmp_path, replicas=2)
    assert (sample.rows, sample.of_rows) == (88, 90)
    small, whole = (open_dataset(url) for url in (sample.job.data.train, data["train"]))
    ids = [set(pq.read_table(dataset.store.root, columns=["id"])["id"].to_pylist()) for dataset in (small, whole)]
    assert len(ids[0]) == 88
    assert ids[0] < ids[1]
    assert small.index.has_sums
    assert len(small.index) == 16
    assert sample.groups_checked == 14 + 4, "every row group that was read agrees with its import"
    assert sample.job.train.optimizer == job(data).train.optimizer
    assert sample.job.data.image == job(data).data.image
    assert sample.job.data.order == job(data).data.order
    assert sample.job.storage.startswith(str(tmp_path))


def test_shards_that_mmdist_did_not_import_stay_without_sums(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", index=False)
    sample = shrink(job(data), tmp_path / "work", replicas=2)
    assert not open_dataset(sample.job.data.train).index.has_sums
    assert sample.groups_checked == 0


def test_sorted_data_gives_a_sample_with_several_labels(tmp_path: Path) -> None:
    folders = {}
    for split in ("train", "validation"):
        folder = tmp_path / split
        folder.mkdir()
        labels = [f"{number // 100:02d}" for number in range(2000)]
        table = pa.table({"id": [str(n) for n in range(2000)], "image": [b"x"] * 2000, "text": labels, "label": labels})
        pq.write_table(table, folder / "part-00000.parquet", row_group_size=100)
        folders[split] = str(folder)
    columns = {name: name for name in ("id", "image", "text", "label")}
    changes = {"train__global_batch_size": 128, "data__columns": columns}
    sample = shrink(job(folders, **changes), tmp_path / "work", replicas=2)
    assert len(sample.job.task.labels) > 10
    assert sample.job.train.global_batch_size == 64
    assert "batches of 64 rows in place of 128" in sample.changes


def test_content_that_is_not_what_was_imported_is_refused(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    shard = Path(data["train"]) / "part-00000.parquet"
    table = pq.read_table(shard)
    texts = table["text"].to_pylist()
    texts[0] = "another"
    table = table.set_column(table.column_names.index("text"), "text", pa.array(texts))
    pq.write_table(table, shard, row_group_size=7, write_page_checksum=True)
    with pytest.raises(DataRefusedError, match="the content of column text is not what was imported"):
        shrink(job(data), tmp_path / "work", replicas=2)


def test_few_rows_take_fewer_lanes_and_too_few_are_refused(tmp_path: Path) -> None:
    data = {name: write_split(tmp_path / name, 24, seed=1) for name in ("train", "validation")}
    sample = shrink(job(data), tmp_path / "work", replicas=2)
    assert sample.job.train.global_batch_size == 4
    assert Recount(sample.job).batches >= 5
    few = {name: write_split(tmp_path / f"few-{name}", 6, seed=1) for name in ("train", "validation")}
    with pytest.raises(DataRefusedError, match="there are too few training rows to prove anything on"):
        shrink(job(few), tmp_path / "other", replicas=2)


@pytest.mark.parametrize("batches", [4, 5, 6, 7])
def test_the_kill_always_falls_between_checkpoints_inside_an_epoch(batches: int) -> None:
    steps = kill_steps(batches)
    assert steps
    for step in steps:
        saved = set(range(0, step, CHECKPOINT_EVERY)) | set(range(0, step, batches))
        newest = max(saved)
        assert 0 < newest < step
        assert newest % batches, "the resume begins inside an epoch"


@pytest.mark.parametrize(
    ("resources", "gpus", "expected"),
    [({}, 0, 2), ({"replicas_per_worker": 4}, 0, 4), ({"workers": 3, "replicas_per_worker": 2}, 0, 6),
     ({"workers": 40}, 0, 8), ({}, 4, 4), ({"workers": 2}, 4, 4), ({}, 1, 2), ({"gpus_per_worker": 2}, 4, 2)],
)  # fmt: skip
def test_replicas_are_the_jobs_as_far_as_the_machine_goes(resources: dict[str, int], gpus: int, expected: int) -> None:
    assert replicas_of(ResourcesSpec.model_validate(resources), gpus) == expected


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"unlike": ["dense/kernel"]}, "the replicas are not synchronised: 1 variables differ"),
        ({"counted": [16, 8]}, "rows: 1 replica counted 16, 2 counted 8, the batch has 16"),
        ({"counted": [15, 15]}, "the batch has 16"),
        ({"loss": 1e-3}, "the loss is off by 1.0e-03"),
        ({"loss": float("nan")}, "the loss is off by nan"),
        ({"gradients": {"w": 0.5}, "ratio": 0.5}, "0.50 of what they should be, as if averaged"),
        ({"gradients": {"w": 1.0}, "ratio": 2.0}, "2.00 times too large, as if summed twice"),
        ({"gradients": {"w": 2e-5}}, "gradients of 1 weights differ, w by 2.0e-05"),
        ({"update": float("nan")}, "the weights moved otherwise"),
    ],
)
def test_a_step_with_a_fault_is_named(fault: dict[str, Any], cause: str) -> None:
    assert causes_of(GOOD, 2, 1e-5) == []
    assert cause in causes_of({**GOOD, **fault}, 2, 1e-5)[0]


def write_parity(path: Path, *pairs: dict[str, Any], replicas: int = 2, controls: bool = True) -> Path:
    append_line(path, "parity", {"kind_of_device": "cpu", "replicas": replicas, "tolerance": 1e-5})
    if controls:
        append_line(path, "controls", {"a planted fault": True})
    for pair in pairs:
        append_line(path, "pair", pair)
    append_line(path, "validation", {"usable": 8, "counted": [8, 8], "loss": 0.0})
    return path


def test_good_steps_pass(tmp_path: Path) -> None:
    check = judge_replicas(write_parity(tmp_path / "r", GOOD, GOOD), steps=2, rows=32)
    assert check.causes == []
    assert {"a planted fault", "a row counted twice", "gradients twice as far apart as is borne"} < set(check.controls)


@pytest.mark.parametrize(
    ("distance", "shaken", "is_borne"), [(3e-5, 1e-5, True), (5e-5, 1e-5, False), (0.04, 1.0, True), (0.06, 1.0, False)]
)
def test_gradients_may_differ_by_what_the_model_makes_of_a_rounding(
    tmp_path: Path, distance: float, shaken: float, is_borne: bool
) -> None:
    pairs = [{**GOOD, "gradients": {"w": distance}}, {**GOOD, "shaken": shaken}]
    check = judge_replicas(write_parity(tmp_path / "r", *pairs), steps=2, rows=32)
    assert check.causes == (
        [] if is_borne else [f"step 1: gradients of 1 weights differ, w by {distance:.1e} relative"]
    )
    assert any("no more than this model makes of a rounding" in line for line in check.found) == is_borne


@pytest.mark.parametrize(
    ("pairs", "options", "cause"),
    [
        ([], {}, "no step was compared"),
        ([GOOD], {}, "1 steps with 16 rows were compared, not the 2 steps with 32 of an epoch"),
        ([GOOD, GOOD], {"replicas": 1}, "one alone proves nothing"),
        ([GOOD, GOOD], {"controls": False}, "no fault was planted"),
        ([{**GOOD, "gradient_norm": 0.0}] * 2, {}, "every gradient is zero"),
    ],
)
def test_what_compares_nothing_does_not_pass(
    tmp_path: Path, pairs: list[dict[str, Any]], options: dict[str, Any], cause: str
) -> None:
    check = judge_replicas(write_parity(tmp_path / "r", *pairs, **options), steps=2, rows=32)
    assert any(cause in found for found in check.causes), check.causes


def test_a_control_that_is_not_seen_fails_the_check() -> None:
    check = Check("ledger", "claim", "exact")
    check.add_controls({"a dropped row": False})
    assert check.causes == ["the comparison is blind: it did not see a planted fault (a dropped row)"]


def test_rows_as_planned_pass(recount: Recount) -> None:
    steps = fed(recount)
    assert recount.causes(steps, first_step=0, whole=True) == []
    assert recount.epoch_causes(steps) == []


def test_a_cursor_off_by_one_is_named_both_ways(recount: Recount) -> None:
    steps = fed(recount)
    [late] = recount.causes(steps[4:], first_step=3, whole=False)
    assert "the cursor is off by +1: the resumed run began at epoch 1, batch 5" in late
    assert "after 3 steps it is epoch 1, batch 4; 1 batch(es) skipped" in late
    [early] = recount.causes(steps[2:], first_step=3, whole=False)
    assert "the cursor is off by -1" in early
    assert "1 batch(es) fed again" in early
    [epoch] = recount.causes(steps[recount.batches + 3 :], first_step=3, whole=False)
    assert "the cursor is wrong: the resumed run began at epoch 2, batch 4" in epoch


def test_other_rows_than_planned_are_named(recount: Recount) -> None:
    steps = fed(recount)
    without = [replace(steps[0], rows=steps[0].rows[1:]), *steps[1:]]
    assert "1 missing, 0 foreign, 0 twice" in recount.causes(without, first_step=0, whole=True)[0]
    assert "0 rows were fed more than once and 1 not at all" in recount.epoch_causes(without)[0]
    turned = [replace(steps[0], rows=steps[0].rows[::-1]), *steps[1:]]
    assert "or in another order" in recount.causes(turned, first_step=0, whole=True)[0]
    assert recount.causes(steps[:-1], first_step=0, whole=True) == [f"{len(steps) - 1} steps were trained, not 12"]


def write_ledgers(run: Path, recount: Recount, **changes: Any) -> None:
    from mmdist.data.ledger import EpochLedger, expected_sums

    for epoch in range(EPOCHS):
        ledger = EpochLedger(epoch)
        ledger.fed_rows = recount.dataset.rows
        ledger.fed_sums = dict(expected_sums(recount.dataset.index))
        (run / "ledger").mkdir(parents=True, exist_ok=True)
        text = json.dumps({**ledger.to_json(recount.dataset.index), **changes})
        (run / "ledger" / f"epoch-{epoch}.json").write_text(text)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, None),
        ({"fed_rows": 87}, "the ledger says 87 rows were fed; counted by hand they are 88"),
        ({"fed_sums": {"id": "0000000000000001"}}, "the ledger's sum of column id is not that of the data"),
        ({"fed_sums": {}}, "the ledger has no sum of column id"),
        ({"quarantined_rows": 1}, "the ledger has 89 of 88 rows"),
    ],
)
def test_the_ledger_is_counted_again(
    recount: Recount, tmp_path: Path, changes: dict[str, Any], cause: str | None
) -> None:
    write_ledgers(tmp_path, recount, **changes)
    check = judge_ledger(recount, {"only": (open_store(str(tmp_path)), fed(recount))}, groups_checked=1)
    assert check.passed is (cause is None)
    assert cause is None or f"only run, epoch 1: {cause}" in check.causes


def test_a_run_without_steps_is_no_proof(recount: Recount, tmp_path: Path) -> None:
    check = judge_ledger(recount, {"only": (open_store(str(tmp_path)), ())}, groups_checked=0)
    assert "no row was fed" in check.causes
    assert "only run, epoch 1: there is no ledger: the epoch was not finished" in check.causes


def test_states_that_differ_are_named_by_group() -> None:
    assert state_causes(("a", "b", "c"), ("a", "b", "c"), OPENING) == []
    assert state_causes(("a", "b", "c"), ("x", "b", "c"), OPENING) == ["1 of 1 weights differ: dense/kernel"]
    [seeds] = state_causes(("a", "b", "c"), ("a", "b", "x"), OPENING)
    assert "1 of 1 seed generators differ: dropout/seed_generator_state (random numbers go on" in seeds
    assert state_causes(("a",), ("a", "b"), OPENING) == ["2 variables in place of 1"]


@pytest.mark.parametrize(
    ("signal", "cause"),
    [(None, "ended by SIGKILL, and was ended by nothing"), (9, "it found no checkpoint")],
)
def test_a_kill_that_did_not_happen_is_no_proof(
    recount: Recount, tmp_path: Path, signal: int | None, cause: str
) -> None:
    steps = tuple(fed(recount))
    whole = Recording(opening=OPENING, steps=steps, end=("a", "b", "c"), controls={"planted": True})
    store = open_store(str(tmp_path))
    check = judge_resume(Trial(whole, whole, whole, store, store, signal, 0.5), recount)
    assert cause in check.causes[0]


def test_one_bit_makes_another_digest() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest(flip_bit(array)) != digest(array)
    assert digest(array.reshape(3, 2)) != digest(array)
    assert digest(array.astype(np.float64)) != digest(array)
    assert digest(array.copy()) == digest(array)


def test_a_recording_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_line(path, "opening", OPENING)
    append_line(path, "step", StepRecord(0, 0, (1, 2), (1,), ("a",), 1.0, 1.0, ()))
    with path.open("a") as file:
        file.write('{"kind": "step", "epo')
    found = read_recording(path)
    assert found.opening == OPENING
    assert [step.rows for step in found.steps] == [(1, 2)]
    assert read_recording(tmp_path / "none") == Recording()


def test_a_worker_that_dies_by_itself_is_an_error(
    data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho out of memory\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    own = job(data).model_copy(update={"storage": str(tmp_path / "runs")})
    with pytest.raises(WorkerLostError, match=r"was ended by signal 9[\s\S]*out of memory"):
        Processes(tmp_path, own).work("alone", "train", ResourcesSpec())


def proof(*causes: str) -> Proof:
    check = Check("resume", "the claim", "bits", {"loss": float("nan")}, ["what was found"], list(causes), ["a fault"])
    return Proof(
        "pets", "2 CPU replica(s)", (check,), ("GPUs",), ("2 epochs",), 88, 900, 39, 12.3, {"alone": 1.0}, None
    )


def test_the_page_says_what_was_proven_and_what_was_not() -> None:
    page = proof().page()
    assert page.startswith("PROVEN: pets, on 88 of its 900 training rows, 39 steps, 2 CPU replica(s), 12 s")
    for part in ("1. proven: the claim", "tolerance: bits", "- what was found", "planted and caught: a fault"):
        assert part in page
    assert "Not proven here: GPUs" in page
    failed = proof("the cursor is off by +1")
    assert failed.page().startswith("NOT PROVEN: pets")
    assert "1. FAILED: the claim" in failed.page()
    assert "cause: the cursor is off by +1" in failed.page()
    told = json.loads(json.dumps(failed.to_json(), allow_nan=False))
    assert (told["proven"], told["checks"][0]["passed"], told["checks"][0]["facts"]["loss"]) == (False, False, None)
    assert not replace(proof(), checks=()).passed, "no check is no proof"


@pytest.mark.parametrize(("causes", "code"), [((), 0), (("the cursor is off by +1",), 5)])
def test_the_exit_code_is_the_verdict(
    data: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    causes: tuple[str, ...],
    code: int,
) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job_dict(data)))
    monkeypatch.setattr("mmdist.runtime.verifying.verify", lambda loaded, keep, announce: proof(*causes))
    assert run(["verify", str(tmp_path / "job.yaml"), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["proven"] is (code == 0)


def test_other_kinds_of_jobs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = {"kind": "predict", "name": "p", "model": "pets@latest", "data": {"input": str(tmp_path)}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(text))
    assert run(["verify", str(tmp_path / "job.yaml")]) == 2
    assert "a job of kind train" in capsys.readouterr().err


def test_missing_data_is_refused_as_by_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = job_dict({"train": str(tmp_path / "no"), "validation": str(tmp_path / "no")})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**text, "storage": str(tmp_path)}))
    assert run(["verify", str(tmp_path / "job.yaml")]) == 3


def test_a_folder_that_is_in_use_is_not_kept_in(
    data: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**job_dict(data), "storage": str(tmp_path / "runs")}))
    assert run(["verify", str(tmp_path / "job.yaml"), "--keep", str(tmp_path)]) == 2
    assert "the folder to keep things in is not empty" in capsys.readouterr().err


def test_an_import_that_fails_says_why(data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = job({**data, "train": str(tmp_path / "out" / "train")})
    source = {"source": {"type": "folder", "path": str(tmp_path / "pictures")}, "output": str(tmp_path / "out")}
    own = own.model_copy(update={"import_": ImportSpec.model_validate(source)})

    def refuse(*_: object, **__: object) -> None:
        raise DataRefusedError("the source's pictures are all broken", received="7 pictures")

    monkeypatch.setattr(importing, "embedded_ray", nullcontext)
    monkeypatch.setattr("mmdist.importing.run_import", refuse)
    (tmp_path / "import.yaml").write_text(dump_job(own))
    assert importing.main([str(tmp_path / "import.yaml"), str(tmp_path / "failure.json")]) == 3
    # What the process has left is raised by the one that started it; one that left nothing is told of by its log.
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\ncp {tmp_path}/failure.json $4\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    (tmp_path / "work").mkdir()
    with pytest.raises(DataRefusedError, match=r"all broken[\s\S]*received: 7 pictures"):
        import_first(own, tmp_path / "work")
    script.write_text("#!/bin/sh\necho no space left\nexit 1\n")
    (tmp_path / "again").mkdir()
    with pytest.raises(ResourceError, match=r"the import ended without a word[\s\S]*no space left"):
        import_first(own, tmp_path / "again")


def test_a_resume_that_differs_is_named_by_what_differs(recount: Recount, tmp_path: Path) -> None:
    steps = tuple(replace(step, state=("a", "b", "c")) for step in fed(recount))
    alone = Recording(opening=replace(OPENING, step=0), steps=steps, end=("x", "y", "z"), controls={"planted": True})
    killed = Recording(opening=alone.opening, steps=steps[:5])
    resumed = replace(alone, opening=OPENING, steps=steps[3:])
    EventWriter(open_store(str(tmp_path / "resumed")), 2, "worker-0.0").write("resumed", step=3)
    trial = Trial(
        alone, killed, resumed, open_store(str(tmp_path / "alone")), open_store(str(tmp_path / "resumed")), 9, 0.5
    )

    def causes(**changes: Any) -> list[str]:
        return judge_resume(replace(trial, **changes), recount).causes

    assert causes() == ["there is no checkpoint at the end"], "recordings alone prove nothing"
    forgot = replace(resumed, opening=replace(OPENING, state=("a", "b", "?")))
    assert "as restored from the checkpoint of step 3: 1 of 1 seed generators differ" in causes(resumed=forgot)[0]
    assert "at the end: 1 of 1 weights differ: dense/kernel" in causes(resumed=replace(resumed, end=("?", "y", "z")))
    apart = replace(resumed, unlike=("dense/kernel",))
    assert "the replicas are not synchronised (resumed run)" in causes(resumed=apart)[0]
    died = replace(resumed, end=None, failure={"message": "epoch 0 did not feed every row once", "received": "87"})
    assert causes(resumed=died) == [
        "the resumed worker ended by an error: epoch 0 did not feed every row once (87)"
    ] + ["no fault was planted: the comparison itself is unproven"] * (not died.controls)
    other = replace(killed, steps=(replace(steps[0], loss_sum=2.0), *steps[1:5]))
    assert "two runs of the same job differ before the kill" in causes(killed=other)[0]
    assert "not between checkpoints" in causes(killed=replace(killed, steps=steps[:3]))[0]
    still = replace(trial.alone, end=("a", "b", "c"))
    assert "training changed no variable: nothing was compared" in causes(
        alone=still, resumed=replace(resumed, end=("a", "b", "c"))
    )
    assert "no fault was planted: the comparison itself is unproven" in causes(alone=replace(alone, controls={}))


def test_the_kill_waits_for_the_checkpoint_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "read_recording", lambda _: SimpleNamespace(steps=[{}] * 10))
    run = open_store(str(tmp_path))
    commit_folder(run, checkpoint_name(6, 1, 0), {"x": b""})
    with subprocess.Popen(["sleep", "60"]) as victim:
        killer = Thread(target=processes._kill_after, args=(victim, tmp_path, run, 10))
        killer.start()
        killer.join(0.5)
        assert killer.is_alive(), "the checkpoint of step 6 is of an epoch's end, and that of step 9 on its way"
        commit_folder(run, checkpoint_name(9, 1, 0), {"x": b""})
        killer.join(30)
        assert victim.wait(30) == -signal.SIGKILL
