"""`mmdist verify` proves a healthy build, and names what is wrong with others."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mutant_builds import SEEDS_NOT_RESTORED, SEEDS_NOT_SAVED, SOURCE, UNSYNCHRONISED, build, cursor_off_by
from tiny_runs import job_dict, write_data

from mmdist.runtime.verifying.processes import Processes, Started
from mmdist.runtime.verifying.records import read_recording
from mmdist.runtime.verifying.recount import Recount
from mmdist.runtime.verifying.replicas import judge_replicas
from mmdist.runtime.verifying.resume import Trial, judge_resume
from mmdist.spec.job import TrainJob
from mmdist.spec.load import parse_resolved
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import open_store

RESOURCES = ResourcesSpec(gpus_per_worker=0, replicas_per_worker=2, cpus_per_worker=2)
LIMIT_S = 280


def verify(folder: Path, source: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from mmdist.cli.main import main; main()", "verify", "job.yaml", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@dataclass(frozen=True)
class Proven:
    """A verification of the tiny job by the build under test, with what it left behind."""

    folder: Path
    done: subprocess.CompletedProcess[str]

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    @property
    def job(self) -> TrainJob:
        job = parse_resolved((self.kept / "runs" / "alone" / "job.yaml").read_bytes())
        assert isinstance(job, TrainJob)
        return job


def write_job(folder: Path) -> Path:
    """The tiny job, with every checkpoint kept."""
    job = job_dict(write_data(folder / "data"), train__checkpoint={"every": "epoch", "keep_last": 9})
    (folder / "job.yaml").write_text(yaml.safe_dump({**job, "storage": str(folder / "runs")}))
    return folder


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    folder = write_job(tmp_path_factory.mktemp("verify"))
    return Proven(folder, verify(folder, SOURCE.parent, "--json", "--keep", "kept"))


def test_a_healthy_build_is_proven(proven: Proven) -> None:
    assert proven.done.returncode == 0, proven.done.stdout + proven.done.stderr
    told = json.loads(proven.done.stdout)
    assert told["proven"] is True
    replicas, resume, ledger = told["checks"]
    assert [check["name"] for check in told["checks"]] == ["replicas", "resume", "ledger"]
    assert (replicas["facts"]["replicas"], replicas["facts"]["steps"], replicas["facts"]["rows"]) == (2, 6, 88)
    assert 0 < replicas["facts"]["gradients"] < replicas["facts"]["tolerance"] < 2e-5
    assert resume["facts"]["steps_lost"] >= 1
    assert resume["facts"]["seed_generators_drawn_from"] == 4
    assert ledger["facts"]["rows_fed"] + ledger["facts"]["rows_set_aside"] == 4 * 88
    assert ledger["facts"]["rows_set_aside"] == 4
    assert ledger["facts"]["groups_as_imported"] > 0
    assert all(len(check["controls"]) >= 3 for check in told["checks"])
    assert not (proven.folder / "runs").exists(), "the job's own storage is left alone"


def test_a_cursor_off_by_one_is_named(proven: Proven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    causes = resumed_by(build(tmp_path / "build", cursor_off_by(1)), proven, tmp_path, monkeypatch)
    assert "the cursor is off by +1: the resumed run began at epoch" in causes[0]
    assert "1 batch(es) skipped" in causes[0]
    assert any("ended by an error: epoch" in cause and "row(s) missing" in cause for cause in causes), causes


def test_a_dropped_seed_generator_is_named(proven: Proven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    causes = resumed_by(build(tmp_path / "build", SEEDS_NOT_RESTORED), proven, tmp_path, monkeypatch)
    assert "as restored from the checkpoint" in causes[0]
    assert "4 of 6 seed generators differ" in causes[0]
    assert "random numbers go on from another place" in causes[0]


def test_unsynchronised_replicas_are_named(proven: Proven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(build(tmp_path / "build", UNSYNCHRONISED)))
    monkeypatch.chdir(tmp_path)
    parity = work(proven, tmp_path, "parity", "parity")
    check = judge_replicas(parity.path, steps=6, rows=88)
    assert not check.passed
    assert "step 1: the replicas are not synchronised" in check.causes[0]
    assert any("weights differ" in cause for cause in check.causes)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("mutant", "cause"),
    [
        (UNSYNCHRONISED, "the replicas are not synchronised"),
        (SEEDS_NOT_RESTORED, "seed generators differ"),
        (SEEDS_NOT_SAVED, "seed generators differ"),
        (cursor_off_by(1), "the cursor is off by +1"),
        (cursor_off_by(-1), "the cursor is off by -1"),
    ],
    ids=["unsynchronised", "seeds-not-restored", "seeds-not-saved", "cursor+1", "cursor-1"],
)
def test_a_faulty_build_is_refused_from_end_to_end(tmp_path: Path, mutant: tuple[str, str], cause: str) -> None:
    folder = write_job(tmp_path)
    done = verify(folder, build(tmp_path / "build", mutant))
    assert done.returncode == 5, done.stderr
    assert done.stdout.startswith("NOT PROVEN: tiny")
    assert cause in " ".join(done.stdout.split())


def work(proven: Proven, folder: Path, name: str, mode: str, **options: object) -> Started:
    job = proven.job.model_copy(update={"storage": str(folder / "runs")})
    return Processes(folder, job).work(name, mode, RESOURCES, **options)


def resumed_by(source: Path, proven: Proven, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is found when another build resumes the run as the kill has left it."""
    recordings = {name: read_recording(proven.kept / f"{name}.jsonl") for name in ("alone", "killed", "resumed")}
    at = recordings["resumed"].opening.step
    run = folder / "runs" / "killed"
    shutil.copytree(proven.kept / "runs" / "killed", run)
    for path in [*run.glob("checkpoints/*"), *run.glob("events/0002-*")]:
        if path.is_dir() and int(path.name.partition("-")[0]) > at:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    monkeypatch.setenv("PYTHONPATH", str(source))
    monkeypatch.chdir(folder)
    resumed = work(proven, folder, "resumed", "train", run_name="killed", attempt=2)
    trial = Trial(
        alone=recordings["alone"],
        killed=recordings["killed"],
        resumed=resumed.recording,
        alone_run=open_store(str(proven.kept / "runs" / "alone")),
        resumed_run=resumed.run,
        signal=9,
        dropout=proven.job.model.regularization.dropout,
    )
    check = judge_resume(trial, Recount(proven.job))
    assert not check.passed
    return check.causes
